package transform

// Identity is the identifier of the participant whose row this is, as it would be
// mapped; nil where the row tells none. It is for the caller until the next row.
func (m *Mapper) Identity(row [][]byte) []byte {
	p := &m.row.participant
	if p.expr != nil {
		if p.expr.evaluate(row); p.failed() {
			return nil
		}
	}
	identity, _ := p.take(row)
	return identity
}
