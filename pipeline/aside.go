package pipeline

// aside is one piece of work that goes on beside its owner: the database or the
// disk takes what is finished while the next is computed. There is one at a time.
type aside struct{ done chan error }

// start waits for the work before, and starts this unless that failed.
func (a *aside) start(work func() error) error {
	if err := a.wait(); err != nil {
		return err
	}
	done := make(chan error, 1)
	a.done = done
	go func() { done <- work() }()
	return nil
}

// wait waits until nothing goes on and answers how it went, once.
func (a *aside) wait() error {
	if a.done == nil {
		return nil
	}
	err := <-a.done
	a.done = nil
	return err
}
