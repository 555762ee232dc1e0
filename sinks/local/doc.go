// Package local publishes releases into a folder.
//
//	<root>/<study>/<release>/            a release, whole
//	<root>/<study>/current               link to the newest one
//	<root>/<study>/.staging/<release>/   an attempt: nothing reads it
//
// A release is written and made durable in the staging folder, its envelope
// last, and becomes visible by one rename. Readers that ignore names with a
// leading dot see all of a release or nothing.
package local
