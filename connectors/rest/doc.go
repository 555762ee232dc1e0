// Package rest pulls from any API that answers in pages: what requests to send,
// where the next page is and what is new is said in the configuration, not in code.
// A page is one delivery, its bytes as the server sent them. Of a page it reads
// only how many records it has and what the configuration points at: the next
// page, the time of change, the values that requests for children need.
package rest
