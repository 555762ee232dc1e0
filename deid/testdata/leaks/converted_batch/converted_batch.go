package converted_batch

import (
	"longitude/deid"
	"longitude/study"
)

func leak(b study.Batch) deid.Batch {
	return deid.Batch(struct{ b study.Batch }{b}) // want "cannot convert"
}
