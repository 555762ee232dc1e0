package postgres

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"longitude/study"
)

func request(source, id, content string) study.Request {
	r := study.Request{Source: source, Size: len(content), Box: []byte(content)}
	copy(r.Key[:], id)
	copy(r.Content[:], content)
	return r
}

func received(t *testing.T, s *Store, requests ...study.Request) []study.Receipt {
	t.Helper()
	receipts, err := s.Receive(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	return receipts
}

func inInbox(t *testing.T, s *Store, source string, first, last int64) (all []string) {
	t.Helper()
	for k, err := range s.Contents(t.Context(), source, first, last) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(k.Box))
	}
	return all
}

// A request is kept once, whatever comes under its key, at once or later.
func TestReceive(t *testing.T) {
	s := open(t, amd())
	first := received(t, s, request("edc", "1", "one"), request("edc", "2", "two"), request("edc", "1", "one"), request("lab", "1", "one"), request("edc", "2", "other"))
	if want := []study.Receipt{{ID: first[0].ID}, {ID: first[1].ID}, {ID: first[0].ID, Known: true}, {ID: first[3].ID}, {ID: first[1].ID, Known: true, Reused: true}}; !slices.Equal(first, want) ||
		first[0].ID >= first[1].ID || first[1].ID >= first[3].ID {
		t.Errorf("received %+v", first)
	}
	again := received(t, s, request("edc", "3", "three"), request("edc", "1", "one"), request("edc", "1", "forged"))
	if again[0].ID <= first[3].ID || again[0].Known || !again[1].Known || again[1].ID != first[0].ID || again[1].Reused || !again[2].Reused {
		t.Errorf("received again %+v", again)
	}
	if all := inInbox(t, s, "edc", 0, 1<<60); !slices.Equal(all, []string{"one", "two", "three"}) {
		t.Errorf("kept %q", all)
	}
	if n, last, err := s.Waiting(t.Context(), "edc", 10); err != nil || n != 3 || last != again[0].ID {
		t.Errorf("%d wait, the last %d, %v", n, last, err)
	}
	if n, _, err := s.Waiting(t.Context(), "edc", 2); err != nil || n != 2 {
		t.Errorf("%d wait at least, %v", n, err)
	}
	if all, err := s.Inboxes(t.Context()); err != nil || len(all) != 2 || all[0].Source != "edc" || all[0].Waiting != 3 || all[0].Oldest < 0 || all[0].Oldest > 60 {
		t.Errorf("inboxes %+v, %v", all, err)
	}
	if err := s.Forget(t.Context(), "edc", first[1].ID); err != nil {
		t.Fatal(err)
	}
	if all := inInbox(t, s, "edc", 0, 1<<60); !slices.Equal(all, []string{"three"}) {
		t.Errorf("kept afterwards %q", all)
	}
	if late := received(t, s, request("edc", "2", "two")); late[0].ID != first[1].ID || !late[0].Known || late[0].Reused {
		t.Errorf("what is forgotten is known no more: %+v", late)
	}
	for upTo, want := range map[int64]bool{first[1].ID: false, again[0].ID: true} {
		if held, err := s.Held(t.Context(), "edc", upTo); err != nil || held != want {
			t.Errorf("held up to %d: %v, %v", upTo, held, err)
		}
	}
}

// A group is decided once, whatever comes meanwhile and however many are asked for.
func TestGroup(t *testing.T) {
	s := open(t, amd())
	if _, _, ok, err := s.Group(t.Context(), "edc", 0, 10); ok || err != nil {
		t.Fatalf("an empty inbox has a group: %v", err)
	}
	receipts := received(t, s, request("edc", "1", "1"), request("lab", "2", "2"), request("edc", "3", "3"), request("edc", "4", "4"))
	group := func(after int64, most int) [2]int64 {
		t.Helper()
		first, last, ok, err := s.Group(t.Context(), "edc", after, most)
		if err != nil || !ok && first+last > 0 {
			t.Fatal(err)
		}
		return [2]int64{first, last}
	}
	head := [2]int64{receipts[0].ID, receipts[2].ID}
	if got := group(0, 2); got != head {
		t.Errorf("the first group is %v, want %v", got, head)
	}
	received(t, s, request("edc", "5", "5"))
	for _, most := range []int{1, 2, 10} {
		if got := group(0, most); got != head {
			t.Errorf("asked again with %d: %v", most, got)
		}
	}
	two := group(head[1], 10)
	if two[0] != receipts[3].ID || two[1] <= two[0] {
		t.Errorf("the second group is %v", two)
	}
	if got := group(two[1], 10); got != [2]int64{} {
		t.Errorf("behind the last: %v", got)
	}
	if err := s.Forget(t.Context(), "edc", two[1]); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM jobs.inbox_group`); n != 0 {
		t.Errorf("%d groups are left", n)
	}
	large := request("edc", "6", "6")
	large.Size = groupBytes + 1
	r := received(t, s, large, request("edc", "7", "7"))
	if got := group(two[1], 10); got != [2]int64{r[0].ID, r[0].ID} {
		t.Errorf("a group of more bytes than may be together: %v", got)
	}
}

// Who reads while others add, up to what is there, misses nothing below it.
func TestNumbersAreInOrderOfCommit(t *testing.T) {
	s := open(t, amd())
	const writers, each = 8, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := s.Receive(t.Context(), []study.Request{request("edc", fmt.Sprint(w, "-", i), "x"), request("edc", fmt.Sprint(w, "+", i), "x")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	read, at := 0, int64(0)
	for over := false; ; {
		first, last, ok, err := s.Group(t.Context(), "edc", at, 7)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if over {
				break
			}
			select {
			case <-done:
				over = true
			default:
			}
			continue
		}
		read += len(inInbox(t, s, "edc", first, last))
		at = last
	}
	if want := writers * each * 2; read != want {
		t.Errorf("%d of %d were read", read, want)
	}
}
