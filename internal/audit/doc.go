// Package audit is the log of everything that was done: what an event says and
// the exact bytes it is recorded as, the Merkle tree over those bytes (RFC 6962),
// signed checkpoints of the tree, and proofs that anybody can check offline. It
// knows no database: internal/postgres stores what this package computes.
//
// Formats are those of C2SP: signed-note, tlog-checkpoint, tlog-proof, tlog-policy.
package audit
