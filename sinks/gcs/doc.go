// Package gcs publishes releases into a bucket of Google Cloud Storage.
//
//	<location>/<study>/<release>/        a release; it is one once release.dsse.json is there
//	<location>/<study>/current/000001    names a release; the last of them is current
//
// Every object is created on the condition that there is none of its name, with
// the checksum of its bytes, and is never changed or deleted: an account that may
// only create and read is enough. Objects of a release are in the bucket before
// its envelope, so readers ask for the envelope first.
package gcs
