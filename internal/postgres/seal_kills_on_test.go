//go:build crash

package postgres

// sealerKills is how often the sealer is killed; `make crash` asks for all of them.
const sealerKills = 200
