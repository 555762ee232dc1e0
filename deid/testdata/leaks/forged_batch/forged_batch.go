package forged_batch

import (
	"longitude/deid"
	"longitude/study"
)

func leak(b study.Batch) deid.Batch {
	return deid.Batch{b} // want "unexported field"
}
