package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

func signer(t testing.TB, letter string) *Signer {
	t.Helper()
	s, err := NewSigner(strings.Repeat(letter, 16), ed25519.NewKeyFromSeed([]byte(strings.Repeat(letter, 32))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memory is a log in memory.
type memory struct {
	leaves [][]byte
	nodes  []Hash
}

func (m *memory) ReadHashes(numbers []int64) ([]Hash, error) {
	out := make([]Hash, len(numbers))
	for i, n := range numbers {
		if n >= int64(len(m.nodes)) {
			return nil, errMissingNode
		}
		out[i] = m.nodes[n]
	}
	return out, nil
}

// grow appends leaves and answers the root.
func (m *memory) grow(t testing.TB, leaves ...[]byte) Hash {
	t.Helper()
	var hashes []Hash
	for _, l := range leaves {
		hashes = append(hashes, LeafHash(l))
	}
	added, root, err := Extend(int64(len(m.leaves)), hashes, m)
	if err != nil {
		t.Fatal(err)
	}
	m.nodes, m.leaves = append(m.nodes, added...), append(m.leaves, leaves...)
	return root
}

func example(i int) []byte {
	e := Event{Action: ExportMade, Actor: "test", Object: "export/" + strconv.Itoa(i), Format: Format, ID: int64(i + 1), At: Time(time.Unix(int64(i), 0)), Outcome: OK}
	leaf, err := e.Leaf()
	if err != nil {
		panic(err)
	}
	return leaf
}

// The test vectors of Certificate Transparency for RFC 6962: eight leaves, the root
// after each.
func TestRFC6962Vectors(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	if empty := hex.EncodeToString(emptyRoot[:]); empty != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("the empty root is %s", empty)
	}
	m := &memory{}
	for i, l := range leaves {
		leaf, _ := hex.DecodeString(l)
		if root := m.grow(t, leaf); hex.EncodeToString(root[:]) != roots[i] {
			t.Errorf("root of %d leaves is %x, want %s", i+1, root[:], roots[i])
		}
	}
}

// In one step or in many, the tree is the same.
func TestExtendInSteps(t *testing.T) {
	once := &memory{}
	var all [][]byte
	for i := range 100 {
		all = append(all, example(i))
	}
	want := once.grow(t, all...)
	for step := 1; step < 40; step += 3 {
		m := &memory{}
		var root Hash
		for part := range slices.Chunk(all, step) {
			root = m.grow(t, part...)
		}
		if root != want || !slices.Equal(m.nodes, once.nodes) {
			t.Errorf("in steps of %d the tree is another", step)
		}
	}
}

// independent checks a proof as the C2SP texts tlog-proof, tlog-checkpoint and
// signed-note and RFC 9162, section 2.1.3.2 say, with nothing of this package.
func independent(text []byte, origin string, key ed25519.PublicKey) bool {
	head, signed, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return false
	}
	leaf, err := base64.StdEncoding.Strict().DecodeString(lines[1][6:])
	index, err2 := strconv.ParseUint(lines[2][6:], 10, 62)
	body, signature, ok := strings.Cut(signed, "\n\n")
	if err != nil || err2 != nil || !ok || strconv.FormatUint(index, 10) != lines[2][6:] {
		return false
	}
	body += "\n"
	checkpoint := strings.Split(body, "\n")
	keyHash := sha256.Sum256(append([]byte(origin+"\n\x01"), key...))
	sig, ok := strings.CutPrefix(signature, "— "+origin+" ")
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(sig, "\n"))
	if !ok || err != nil || !strings.HasSuffix(sig, "\n") || len(raw) != 68 || !bytes.Equal(raw[:4], keyHash[:4]) || !ed25519.Verify(key, []byte(body), raw[4:]) {
		return false
	}
	if len(checkpoint) != 4 || checkpoint[0] != origin {
		return false
	}
	size, err := strconv.ParseUint(checkpoint[1], 10, 62)
	root, err2 := base64.StdEncoding.DecodeString(checkpoint[2])
	if err != nil || err2 != nil || index >= size {
		return false
	}
	at, last := index, size-1
	hash := sha256.Sum256(append([]byte{0}, leaf...))
	for _, line := range lines[3:] {
		p, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(p) != 32 || last == 0 {
			return false
		}
		if at&1 == 1 || at == last {
			hash = sha256.Sum256(slices.Concat([]byte{1}, p, hash[:]))
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			hash = sha256.Sum256(slices.Concat([]byte{1}, hash[:], p))
		}
		at, last = at>>1, last>>1
	}
	return last == 0 && bytes.Equal(hash[:], root)
}

// A thousand proofs hold for both implementations, a thousand corrupted ones for
// neither.
func TestProofsAgreeWithAnother(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s, m := signer(t, "a"), &memory{}
	public := s.keys[0].Public().(ed25519.PublicKey)
	agreed, refused := 0, 0
	for size := 1; size <= 1000; size++ {
		root := m.grow(t, example(size-1))
		c, err := s.Checkpoint(int64(size), root)
		if err != nil {
			t.Fatal(err)
		}
		index := random.IntN(size)
		p, err := Prove(m.leaves[index], int64(index), c, m)
		if err != nil {
			t.Fatal(err)
		}
		text := p.Marshal()
		if check(text, s.Policy()) && independent(text, s.Name(), public) {
			agreed++
		}
		bad := slices.Clone(text)
		bad[random.IntN(len(bad))] ^= 1 << random.IntN(7)
		if !check(bad, s.Policy()) && !independent(bad, s.Name(), public) {
			refused++
		} else {
			t.Errorf("a corrupted proof holds: %q", bad)
		}
	}
	if agreed != 1000 || refused != 1000 {
		t.Errorf("%d agree, %d corrupted are refused", agreed, refused)
	}
}

func check(text []byte, policy Policy) bool {
	p, err := ParseProof(text)
	if err != nil {
		return false
	}
	_, _, err = p.Check(policy)
	return err == nil
}

func TestConsistency(t *testing.T) {
	s, m := signer(t, "a"), &memory{}
	var all []Checkpoint
	for i := range 40 {
		c, err := s.Checkpoint(int64(i+1), m.grow(t, example(i)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for i := range all {
		for k := i; k < len(all); k++ {
			if err := Consistent(all[i], all[k], m); err != nil {
				t.Errorf("%d and %d: %v", i+1, k+1, err)
			}
			other := all[i]
			other.Root[5] ^= 1
			if Consistent(other, all[k], m) == nil {
				t.Errorf("another log of %d is taken for that of %d", i+1, k+1)
			}
		}
	}
	if Consistent(all[9], all[3], m) == nil {
		t.Error("a log that became shorter is consistent")
	}
}

func code(err error) string {
	var e *study.Error
	errors.As(err, &e)
	if e == nil {
		return ""
	}
	return e.Code
}

func TestCheckpointsOfOthers(t *testing.T) {
	a, b := signer(t, "a"), signer(t, "b")
	c, err := a.Checkpoint(3, Hash{1})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Policy().Open(c.Note); err != nil || got.Size != 3 || got.Root != c.Root {
		t.Errorf("%+v, %v", got, err)
	}
	for what, note := range map[string][]byte{
		"another size":   bytes.Replace(c.Note, []byte("\n3\n"), []byte("\n4\n"), 1),
		"written else":   bytes.Replace(c.Note, []byte("\n3\n"), []byte("\n03\n"), 1),
		"more after":     append(slices.Clone(c.Note), "— x AAAA\n"...),
		"nothing":        nil,
		"no signature":   c.Note[:bytes.Index(c.Note, []byte("\n\n"))+2],
		"cut":            c.Note[:len(c.Note)-3],
		"an export note": func() []byte { n, _ := a.SignText([]byte("x\n")); return n }(),
	} {
		if _, err := a.Policy().Open(note); err == nil {
			t.Errorf("%s: opened", what)
		}
	}
	if _, err := b.Policy().Open(c.Note); err == nil {
		t.Error("another key's checkpoint opened")
	}
}

// The log goes on under a new key: one checkpoint is signed by both, what the old
// key signed stays valid, and it signs nothing after.
func TestKeyReplaced(t *testing.T) {
	old := signer(t, "a")
	second := ed25519.NewKeyFromSeed([]byte(strings.Repeat("b", 32)))
	both, err := NewSigner(strings.Repeat("a", 16), old.keys[0], second)
	if err != nil || both.Name() != old.Name() {
		t.Fatalf("%s, %v", both.Name(), err)
	}
	m := &memory{}
	var roots []Hash
	for i := range 5 {
		roots = append(roots, m.grow(t, example(i)))
	}
	last, err := old.Checkpoint(1, roots[0])
	if err != nil {
		t.Fatal(err)
	}
	last, err = both.Policy().Open(last.Note)
	if err != nil {
		t.Fatal("what the old key signed does not open: ", err)
	}
	overlap, err := both.Continue(last, 2, roots[1])
	if err != nil || bytes.Count(overlap.Note, []byte("\n— ")) != 2 {
		t.Fatalf("%q, %v", overlap.Note, err)
	}
	if overlap, err = both.Policy().Open(overlap.Note); err != nil || overlap.key != 1 {
		t.Fatalf("key %d, %v", overlap.key, err)
	}
	if _, err := old.Policy().Open(overlap.Note); code(err) != "audit.key_unknown" {
		t.Errorf("who knows the old key only: %v", err)
	}
	next, err := both.Continue(overlap, 3, roots[2])
	if err != nil || bytes.Count(next.Note, []byte("\n— ")) != 1 {
		t.Fatalf("%q, %v", next.Note, err)
	}
	if _, err := old.Policy().Open(next.Note); code(err) != "audit.checkpoint" {
		t.Errorf("who knows the old key only: %v", err)
	}
	if p, err := ParsePolicy(both.Policy().Marshal()); err != nil || !slices.Equal(p.vkeys, both.policy.vkeys) {
		t.Errorf("%v, %v", p, err)
	}
	back, err := old.Checkpoint(4, roots[3])
	if err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(both.Policy(), nil)
	stored := func(number int64) ([]byte, bool) { h, err := m.ReadHashes([]int64{number}); return h[0][:], err == nil }
	for i, c := range []Checkpoint{last, overlap, next, back} {
		hash := LeafHash(m.leaves[i])
		v.Row(&Row{Index: int64(i), Event: int64(i), Leaf: m.leaves[i], LeafHash: hash[:]}, stored)
		v.Report.Findings = slices.DeleteFunc(v.Report.Findings, func(f Finding) bool { return f.Kind == KindColumn })
		v.Checkpoint(c, -1)
		if want := i == 3; (len(v.Report.Findings) > 0) != want {
			t.Errorf("checkpoint %d: %v", i+1, v.Report.Findings)
		}
	}
	text, err := both.SignText([]byte("a list\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := both.Policy().OpenText(text); err != nil || string(got) != "a list\n" {
		t.Errorf("%q, %v", got, err)
	}
	if text, err = old.SignText([]byte("a list\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Policy().OpenText(text); err != nil {
		t.Errorf("a copy from before: %v", err)
	}
}

func TestPolicies(t *testing.T) {
	s := signer(t, "a")
	p, err := ParsePolicy(s.Policy().Marshal())
	if err != nil || p.Origin() != s.Name() {
		t.Fatalf("%v, %v", p, err)
	}
	vkey := s.policy.vkeys[0]
	for what, text := range map[string]string{
		"nothing": "", "no log": "quorum none\n", "two logs": "log " + vkey + "\nlog " + vkey + "\n", "a witness": "log " + vkey + "\nwitness w " + vkey + "\n",
		"a quorum": "log " + vkey + "\nquorum g\n", "a broken key": "log x+1+2\n",
	} {
		if _, err := ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestLeaves(t *testing.T) {
	e := Event{Action: ReleasePublished, Actor: "a <b>", Object: "release/r1", Format: Format, ID: 7, At: Time(time.Unix(0, 1500)), Outcome: OK,
		Detail: map[string]any{"rows": 3, "a": "&"}, Changed: []string{"x"}}
	leaf, err := e.Leaf()
	want := `{"action":"release.published","actor":"a <b>","at":"1970-01-01T00:00:00.000001Z","changed":["x"],"detail":{"a":"&","rows":3},"format":"longitude.audit/1","id":7,"object":"release/r1","outcome":"ok"}`
	if err != nil || string(leaf) != want {
		t.Errorf("%s, %v", leaf, err)
	}
	back, ok := ParseLeaf(leaf)
	again, err := back.Leaf()
	if !ok || err != nil || !bytes.Equal(again, leaf) {
		t.Errorf("read and written again: %s", again)
	}
	for _, bad := range []string{"", "null x", `{"action":"x","unknown":1}`, `{"format":"other/1"}`, want + want} {
		if _, ok := ParseLeaf([]byte(bad)); ok {
			t.Errorf("%q is an event", bad)
		}
	}
}

// The vocabulary is in order, has no word twice, and is what the constants say.
func TestVocabulary(t *testing.T) {
	if !slices.IsSorted(Actions) || len(slices.Compact(slices.Clone(Actions))) != len(Actions) {
		t.Error("the vocabulary is not in order")
	}
	for _, kind := range []string{"explain", "waive", "lock", "unlock", "accept_shape", "distinct"} {
		if !Action("decision." + kind).Known() {
			t.Errorf("decision.%s is no action", kind)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	s, m := signer(f, "a"), &memory{}
	c, _ := s.Checkpoint(1, m.grow(f, example(0)))
	p, _ := Prove(m.leaves[0], 0, c, m)
	f.Add(p.Marshal())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProof(text)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Marshal(), text) {
			t.Error("a proof has two forms")
		}
		if e, _, err := p.Check(s.Policy()); err == nil && e.ID != 1 {
			t.Error("another event is proven")
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("log x+1+2\n"))
	f.Add(signer(f, "a").Policy().Marshal())
	f.Fuzz(func(_ *testing.T, text []byte) {
		if p, err := ParsePolicy(text); err == nil {
			_, _ = p.Open(text)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	f.Add(example(1))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		if e, ok := ParseLeaf(leaf); ok && e.Format != "" && e.Format != Format {
			t.Error("another format is an event")
		}
	})
}
