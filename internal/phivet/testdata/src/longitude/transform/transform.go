package transform

type Rows struct {
	Columns []string
	First   int64
	Cells   [][]byte
}

func (r *Rows) Len() int           { return len(r.Cells) }
func (r *Rows) Row(i int) [][]byte { return r.Cells }
