// Package webclient sends requests to the servers of other people. It tries
// temporary errors again, keeps every server's budget however many sources ask it,
// leaves a server alone that is down, bounds what an answer may cost, and reaches
// no address that nobody meant it to reach. Its errors are *study.Error with codes
// web.…; they never hold an address, a token or a word of an answer.
package webclient
