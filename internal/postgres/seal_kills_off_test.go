//go:build !crash

package postgres

const sealerKills = 10
