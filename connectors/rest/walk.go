package rest

import (
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
)

// list goes through a chain from a place on. Where the list says how long it is,
// pages are got ahead.
func (s *source) list(ctx context.Context, c chain, from place, since string) iter.Seq2[*fetched, error] {
	if c.stream.Export.Path != "" {
		return s.export(ctx, c, since)
	}
	return func(yield func(*fetched, error) bool) {
		f, err := s.get(ctx, c, from, since)
		s.goOn(ctx, f, err, since, yield)
	}
}

// goOn yields a page that has come and those after it. It reports whether more is
// wanted.
func (s *source) goOn(ctx context.Context, f *fetched, err error, since string, yield func(*fetched, error) bool) bool {
	seen := map[string]bool{}
	var before [sha256.Size]byte
	for {
		if err == nil {
			err = loops(f, seen, &before)
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		if !yield(f, nil) {
			return false
		}
		if f.next != nil && f.total > f.place.Page+1 && s.inFlight() > 1 {
			if f = s.getAhead(ctx, f, since, &before, yield); f == nil {
				return false
			}
		}
		if f.next == nil {
			return true
		}
		f, err = s.get(ctx, f.chain, *f.next, since)
	}
}

// getAhead gets the rest of a list of which the length is known. It answers the last
// page, from which the list may go on if it has grown meanwhile; nil if nothing more
// is wanted.
func (s *source) getAhead(ctx context.Context, first *fetched, since string, before *[sha256.Size]byte, yield func(*fetched, error) bool) (tail *fetched) {
	at := func(i int) place {
		p := *first.next
		p.Page += i
		p.Offset += i * first.count
		return p
	}
	count := min(first.total, first.chain.stream.Pages.most()+1) - first.next.Page
	for f, err := range ahead(ctx, s.inFlight(), count, func(ctx context.Context, i int) (*fetched, error) {
		return s.get(ctx, first.chain, at(i), since)
	}) {
		if err == nil {
			err = loops(f, nil, before)
		}
		if err != nil {
			yield(nil, err)
			return nil
		}
		if f.count > 0 && f.place.Page+1 < first.total { // whatever this page says of the length
			next := at(f.place.Page + 1 - first.next.Page)
			f.next = &next
		}
		if !yield(f, nil) {
			return nil
		}
		if tail = f; f.count == 0 {
			return tail // the list has become shorter
		}
	}
	return tail
}

// get asks for one page. A rule that finds nothing there makes an empty one, which
// is the last.
func (s *source) get(ctx context.Context, c chain, at place, since string) (*fetched, error) {
	if at.Page >= c.stream.Pages.most() {
		return nil, errTooMany
	}
	answer, err := s.ask(ctx, c, c.question(at, since))
	switch {
	case errors.Is(err, errSkip), errors.Is(err, errStop):
		return &fetched{chain: c, place: at, stop: errors.Is(err, errStop)}, nil
	case err != nil:
		return nil, err
	}
	f, _, err := s.read(c, at, answer)
	return f, err
}

// loops tells that a list does not go on: the same address or cursor again, or the
// same page although another was asked for.
func loops(f *fetched, seen map[string]bool, before *[sha256.Size]byte) error {
	if f.next != nil && f.next.Next != "" && seen != nil {
		mark := f.next.Next + "\x00" + f.next.Key
		if seen[mark] {
			return errLoop
		}
		seen[mark] = true
	}
	sum := sha256.Sum256(f.body)
	if f.count > 0 && f.place.Page > 0 && sum == *before {
		return errLoop
	}
	*before = sum
	return nil
}

// chains are the lists of a stream: one, or one for each record of its parent, in
// the order in which the parent gives them.
func (s *source) chains(ctx context.Context, of Stream) ([]chain, error) {
	if of.Parent.Stream == "" {
		return []chain{{stream: of}}, nil
	}
	parents, err := s.chains(ctx, s.stream(of.Parent.Stream))
	if err != nil {
		return nil, err
	}
	var all []chain
	seen := map[string]bool{}
	for _, parent := range parents {
		err := s.each(ctx, parent, func(r record) {
			c := chain{stream: of, values: maps.Clone(parent.values)}
			if c.values == nil {
				c.values = map[string]string{}
			}
			for name, pointer := range of.Parent.Values {
				c.values[name] = r.value(pointer)
			}
			c.key = keyOf(c.values)
			if c.key != "" && !seen[c.key] {
				seen[c.key] = true
				all = append(all, c)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// each calls with every record of a chain.
func (s *source) each(ctx context.Context, c chain, with func(record)) error {
	for f, err := range s.list(ctx, c, place{}, "") {
		if err != nil {
			return err
		}
		records, err := look(c.stream, f.body).records(c.stream.Records)
		if err != nil {
			return err
		}
		for _, r := range records {
			with(r)
		}
	}
	return nil
}

// keyOf tells values apart; "" where one is missing, so that no request is made up
// of half of them.
func keyOf(values map[string]string) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if values[name] == "" {
			return ""
		}
		key.WriteString(name + "=" + values[name] + "\x00")
	}
	return key.String()
}

// stream is the stream of that name, which validating has found.
func (s *source) stream(name string) Stream {
	i := slices.IndexFunc(s.config.Streams, func(of Stream) bool { return of.Name == name })
	return s.config.Streams[i]
}

func (s *source) inFlight() int { return max(1, s.config.InFlight) }
