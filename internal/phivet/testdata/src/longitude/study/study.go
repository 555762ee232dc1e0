package study

type Error struct {
	Code, Op, Hint, Place string
	Err                   error
}

func (e *Error) Error() string { return e.Op }

type Draft struct {
	Ordinal, Line int64
	Identity      string
	Private       []PrivateItem
	Raw           []byte
}

type PrivateItem struct {
	Field int
	Text  string
}

type Record struct {
	Participant int64
	Answers     string
}
