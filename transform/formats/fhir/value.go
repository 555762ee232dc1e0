package fhir

import (
	"bytes"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits bounds the plain form of a number written with an exponent.
const maxDigits = 400

// absentPrefix stands before the code of a reason in a cell, so that no value can
// be taken for one.
const absentPrefix = "absent:"

// text is what an item says as one cell; nil when it says nothing. The rule is
// that which it breaks when it is more than one value.
func (it item) words(arena *[]byte) (text []byte, rule string) {
	if it.at < 0 {
		return it.text, ""
	}
	n := &it.t.nodes[it.at]
	if it.absent {
		return it.t.whyAbsent(it.at, arena)
	}
	switch n.kind {
	case '"':
		if len(n.text) == 0 {
			return nil, ""
		}
		return n.text, ""
	case '0':
		return plainNumber(n.text)
	case 't', 'f':
		return n.text, ""
	case 'n':
		return nil, ""
	case '{':
		return it.t.whole(it.at, arena)
	}
	return nil, ruleNotScalar
}

// whyAbsent is a reason, a code or a CodeableConcept, as a cell says it.
func (t *tree) whyAbsent(at int32, arena *[]byte) (text []byte, rule string) {
	code := t.nodes[at].text
	if t.nodes[at].kind != '"' {
		if code, rule = t.concept(at); rule != "" {
			return nil, rule
		}
	}
	if len(code) == 0 {
		code = []byte("unknown")
	}
	return join(arena, absentPrefix, code), ""
}

// whole is the value of a datatype with several elements, told by these: a
// CodeableConcept, Coding, Quantity, Identifier, Reference or Period.
func (t *tree) whole(at int32, arena *[]byte) (text []byte, rule string) {
	if t.member(at, "coding") >= 0 {
		return t.concept(at)
	}
	if reference := t.said(at, "reference"); reference != nil {
		return referredKey(reference, ""), ""
	}
	if v := t.member(at, "value"); v >= 0 {
		return t.quantity(at, v, arena)
	}
	for _, name := range []string{"code", "start"} {
		if said := t.said(at, name); len(said) > 0 {
			return said, ""
		}
	}
	if reason := t.reasonOf(at); reason >= 0 {
		return t.whyAbsent(reason, arena)
	}
	if words := t.said(at, "text"); words != nil {
		return words, ""
	}
	if t.member(at, "end") >= 0 {
		return nil, "" // a period that began nobody knows when
	}
	return nil, ruleNotScalar
}

// quantity is the value of a Quantity, after the comparator of one that was not
// measured exactly, or that of an Identifier.
func (t *tree) quantity(at, v int32, arena *[]byte) (text []byte, rule string) {
	n := &t.nodes[v]
	if n.kind == '"' {
		return n.text, ""
	}
	if n.kind != '0' {
		return nil, ruleNotScalar
	}
	text, rule = plainNumber(n.text)
	if comparator := t.said(at, "comparator"); len(comparator) > 0 && rule == "" {
		text = join(arena, string(comparator), text)
	}
	return text, rule
}

// concept is the code of a CodeableConcept: of its only coding, or of the one that
// a user chose; its text where it has no coding.
func (t *tree) concept(at int32) (text []byte, rule string) {
	coding, rule := t.coding(at)
	if rule != "" {
		return nil, rule
	}
	if code := t.said(coding, "code"); len(code) > 0 {
		return code, ""
	}
	return t.said(at, "text"), ""
}

// coding is the coding that stands for a CodeableConcept, none if it has none.
func (t *tree) coding(at int32) (coding int32, rule string) {
	list := t.member(at, "coding")
	if list < 0 {
		return none, ""
	}
	only, chosen, n := int32(none), int32(none), 0
	for kid := t.nodes[list].kid; kid > 0; kid = t.nodes[kid].next {
		only, n = kid, n+1
		if m := t.member(kid, "userSelected"); m >= 0 && t.nodes[m].kind == 't' {
			chosen = kid
		}
	}
	switch {
	case chosen >= 0:
		return chosen, ""
	case n > 1:
		return none, ruleCodings
	}
	return only, ""
}

// token is a CodeableConcept as FHIR searches for it: system|code, or |code.
func (t *tree) token(at int32, arena *[]byte) (text []byte, rule string) {
	coding, rule := t.coding(at)
	code := t.said(coding, "code")
	if rule != "" || len(code) == 0 {
		return nil, rule
	}
	return join(arena, string(t.said(coding, "system"))+"|", code), ""
}

// join puts a text together in the arena.
func join(arena *[]byte, before string, text []byte) []byte {
	at := len(*arena)
	*arena = append(append(*arena, before...), text...)
	return (*arena)[at:len(*arena):len(*arena)]
}

// plainNumber is a number as written, an exponent worked in: 1.50e3 is 1500. It
// never passes through a float.
func plainNumber(text []byte) (plain []byte, rule string) {
	e := bytes.IndexAny(text, "eE")
	if e < 0 {
		return text, ""
	}
	exponent, err := strconv.Atoi(string(text[e+1:]))
	_, fraction, _ := strings.Cut(string(text[:e]), ".")
	decimals := max(0, len(fraction)-exponent)
	if err != nil || exponent > maxDigits || decimals > maxDigits || e > maxDigits {
		return nil, ruleNumber
	}
	number, ok := new(big.Rat).SetString(string(text))
	if !ok {
		return nil, ruleNumber
	}
	return []byte(number.FloatString(decimals)), ""
}
