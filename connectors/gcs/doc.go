// Package gcs picks up objects that a site leaves in a bucket of Google Cloud
// Storage: the same drop as sftp. An object is there whole or not at all, and its
// generation is its version.
package gcs
