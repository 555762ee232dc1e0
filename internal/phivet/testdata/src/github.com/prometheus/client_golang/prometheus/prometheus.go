package prometheus

type CounterVec struct{}

func (*CounterVec) WithLabelValues(...string) *CounterVec { return nil }
