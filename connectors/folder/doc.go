// Package folder picks up files that are left in a folder of this machine: the
// same drop as sftp, without the network.
package folder
