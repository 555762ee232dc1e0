// Package sftp picks up files that a site leaves on an SFTP server.
//
// The server must prove itself by a pinned host key before any credential is
// sent. A lost connection is opened again by the next call.
package sftp
