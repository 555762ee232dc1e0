// Package webhook takes what a sender pushes: signed HTTP requests, each durable in
// the source's inbox before it is answered, and delivered from there.
package webhook
