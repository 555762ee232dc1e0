// Package people is who may do what, and what they signed: a person with roles and
// a key of their own, the file that keeps the key under their passphrase, and the
// electronic signature, which says who signed what, when and meaning what (21 CFR
// 11.50) and covers the digest of what was signed (11.70). It knows no database:
// internal/postgres keeps people and signatures.
package people
