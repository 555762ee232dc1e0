package risk

import "math"

// margins are the printed counts of one table and the sums that bind them. Each
// count is part of two sums: those of its row and of its column, where a total
// counts negative, so that every sum is zero. Counts are then flows between the
// sums, and what a reader can make of the hidden ones is a matter of cycles: a
// hidden count can be other than it is if, and only if, it lies on a cycle of
// hidden counts that can all give or take one, each within what is printed of
// it. (In a list, all parts and the total lie between the same two sums.)
type margins struct {
	counts []bound
	of     [][]int // counts of each sum
}

// bound is a count between two sums. One more of it is one more from row to
// column if sign is 1, and one less if it is -1.
type bound struct {
	Cell
	row, column int
	sign        int64
}

func (m *margins) add(row, column int, sign, n, threshold int64) {
	for len(m.of) <= max(row, column) {
		m.of = append(m.of, nil)
	}
	m.of[row], m.of[column] = append(m.of[row], len(m.counts)), append(m.of[column], len(m.counts))
	m.counts = append(m.counts, bound{newCell(n, threshold), row, column, sign})
}

func (m *margins) cells() []Cell {
	cells := make([]Cell, len(m.counts))
	for i, b := range m.counts {
		cells[i] = b.Cell
	}
	return cells
}

// protect hides counts until every small one could be another, at the least sum
// of what is hidden for each in turn. It always ends well: a count, its row's
// total, its column's total and the total of all can each be one more. What was
// hidden for one count only gives the others more room.
func (m *margins) protect() {
	all := int64(1)
	for _, b := range m.counts {
		all += b.count
	}
	for i, b := range m.counts {
		if b.show != small {
			continue
		}
		var cheapest []move
		price := int64(math.MaxInt64)
		for _, by := range [2]int64{1, -1} {
			own := b.price(by, all)
			if own < 0 {
				continue
			}
			if rest, path := m.cycle(i, by, all); rest >= 0 && own+rest < price {
				cheapest, price = append(path, move{i, by}), own+rest
			}
		}
		for _, step := range cheapest {
			m.counts[step.count].hide(step.by)
		}
	}
}

// move makes a count one more or one less.
type move struct {
	count int
	by    int64
}

// price of letting a count be one more or less: nothing if what is printed of it
// leaves room; its size if it has to be hidden; more than any set of sizes if
// even "<11" says too much; -1 if it cannot be. A hidden count is taken for no
// small one, as it would have been printed so.
func (b *bound) price(by, all int64) int64 {
	least := int64(1)
	if b.count >= b.below {
		least = b.below
	}
	switch {
	case b.count == 0, b.count+by < least:
		return -1
	case b.show == exact:
		return b.count
	case b.show == small && b.count+by >= b.below:
		return all
	}
	return 0
}

// hide prints less of a count if what is printed leaves no room for a move.
func (b *bound) hide(by int64) {
	if b.show == exact || b.show == small && b.count+by >= b.below {
		b.show = hidden
	}
}

// cycle finds the cheapest moves of other counts that balance the move of one,
// by Dijkstra's algorithm from the sum that the move adds to, to the one that it
// takes from; -1 if there is none.
func (m *margins) cycle(moved int, by, all int64) (int64, []move) {
	const far = math.MaxInt64
	start, end := m.ends(moved, by)
	price, via, done := make([]int64, len(m.of)), make([]move, len(m.of)), make([]bool, len(m.of))
	for s := range price {
		price[s] = far
	}
	price[end] = 0
	for {
		at := -1
		for s := range price {
			if !done[s] && price[s] < far && (at < 0 || price[s] < price[at]) {
				at = s
			}
		}
		if at < 0 {
			return -1, nil
		}
		if at == start {
			break
		}
		done[at] = true
		for _, n := range m.of[at] {
			if n == moved {
				continue
			}
			step := move{n, 1}
			if from, _ := m.ends(n, 1); from != at {
				step.by = -1
			}
			_, to := m.ends(n, step.by)
			if own := m.counts[n].price(step.by, all); own >= 0 && price[at]+own < price[to] {
				price[to], via[to] = price[at]+own, step
			}
		}
	}
	var path []move
	for s := start; s != end; {
		path = append(path, via[s])
		s, _ = m.ends(via[s].count, via[s].by)
	}
	return price[start], path
}

// ends are the sums that a move takes from and adds to.
func (m *margins) ends(n int, by int64) (from, to int) {
	b := &m.counts[n]
	if b.sign*by > 0 {
		return b.row, b.column
	}
	return b.column, b.row
}
