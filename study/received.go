package study

// Request is what a sender pushed to a source, as its inbox keeps it.
type Request struct {
	Source  string
	Key     Digest // keyed digest of the sender's id of it, else of its content
	Content Digest // keyed digest
	Size    int    // bytes of the content
	Box     []byte // the content, sealed
}

// Receipt says what became of a request.
type Receipt struct {
	ID     int64 // its number, or that of the first of its key
	Known  bool  // the same request had come before
	Reused bool  // the key is that of another content: nothing of the request is kept
}
