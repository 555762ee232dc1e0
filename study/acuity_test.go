package study_test

import (
	"fmt"
	"math"
	"testing"

	"longitude/study"
)

func TestParseAcuity(t *testing.T) {
	for _, c := range []struct {
		text, scale string
		packed      string // "" = refused
		logMAR      float64
		letters     int // -1 = none
	}{
		{"44", "etdrs_letters", "etdrs:44", 0.82, 44},
		{"0", "etdrs_letters", "etdrs:0", 1.7, 0},
		{"100", "etdrs", "etdrs:100", -0.3, 100},
		{"085", "etdrs_letters", "etdrs:85", 0, 85},
		{"101", "etdrs_letters", "", 0, 0},
		{"-1", "etdrs_letters", "", 0, 0},
		{"44.5", "etdrs_letters", "", 0, 0},
		{"20/20", "snellen", "snellen:20/20", 0, 85},
		{"20/40", "snellen", "snellen:20/40", math.Log10(2), 70},
		{"6/12", "snellen", "snellen:6/12", math.Log10(2), 70},
		{"6/7.5", "", "snellen:6/7.5", math.Log10(1.25), 80},
		{"20/40.00000000", "snellen", "snellen:20/40.00000000", math.Log10(2), 70},
		{"123456789.25/123456789.25", "snellen", "snellen:123456789.25/123456789.25", 0, 85},
		{"1234567890.25/1", "snellen", "", 0, 0},
		{"20/2000", "snellen", "snellen:20/2000", 2, -1},
		{"20/0", "snellen", "", 0, 0},
		{"20", "snellen", "", 0, 0},
		{"0.30", "logmar", "logmar:0.30", 0.3, 70},
		{"-0.1", "logmar", "logmar:-0.1", -0.1, 90},
		{"-0.00", "logmar", "logmar:-0.00", 0, 85},
		{"--0.1", "logmar", "", 0, 0},
		{"1e-1", "logmar", "", 0, 0},
		{"70", "logmar", "", 0, 0},
		{"", "logmar", "", 0, 0},
		{"-", "logmar", "", 0, 0},
		{"0.5", "decimal", "decimal:0.5", math.Log10(2), 70},
		{"1", "decimal", "decimal:1", 0, 85},
		{"0", "decimal", "", 0, 0},
		{".5", "decimal", "", 0, 0},
		{"NaN", "decimal", "", 0, 0},
		{"CF", "etdrs_letters", "off:CF", 0, -1},
		{"NLP", "", "off:NLP", 0, -1},
		{"cf", "etdrs_letters", "", 0, 0},
		{"1", "", "", 0, 0},
		{"off:XX", "", "", 0, 0},
		{":44", "", "", 0, 0},
		{"44", "jaeger", "", 0, 0},
	} {
		a, ok := study.ParseAcuity(c.text, c.scale)
		if ok != (c.packed != "") || ok && a.String() != c.packed {
			t.Errorf("ParseAcuity(%q, %q) = %q, %v; want %q", c.text, c.scale, a, ok, c.packed)
			continue
		}
		if !ok {
			continue
		}
		logMAR, onChart := a.LogMAR()
		if onChart == (a.OffChart() != "") || math.Abs(logMAR-c.logMAR) > 1e-12 || math.Signbit(logMAR) && logMAR == 0 {
			t.Errorf("%s: logMAR %v, %v; want %v", a, logMAR, onChart, c.logMAR)
		}
		letters, ok := a.Letters()
		if ok != (c.letters >= 0) || ok && letters != c.letters {
			t.Errorf("%s: letters %d, %v; want %d", a, letters, ok, c.letters)
		}
		if (a.Rule() == "") != (a.OffChart() != "") {
			t.Errorf("%s: conversion rule %q", a, a.Rule())
		}
		if back, ok := study.ParseAcuity(a.String(), ""); !ok || back != a {
			t.Errorf("%s does not read back: %v, %v", a, back, ok)
		}
	}
}

// Every whole number of letters survives the way to logMAR and back.
func TestAcuityLettersRoundTrip(t *testing.T) {
	for n := range 101 {
		a, _ := study.ParseAcuity(fmt.Sprint(n), study.AcuityETDRS)
		logMAR, _ := a.LogMAR()
		b, ok := study.ParseAcuity(fmt.Sprintf("%.2f", logMAR), study.AcuityLogMAR)
		if got, _ := b.Letters(); !ok || got != n {
			t.Errorf("%d letters come back as %d", n, got)
		}
	}
}

func FuzzParseAcuity(f *testing.F) {
	for _, s := range []string{"44", "20/40", "0.30", "-0.1", "CF", "etdrs:44", "off:LP", "6/7.5", "123456789.25/123456789.25", "1e309", "٣"} {
		f.Add(s, "etdrs_letters")
		f.Add(s, "")
		f.Add(s, "decimal")
	}
	f.Fuzz(func(t *testing.T, text, scale string) {
		a, ok := study.ParseAcuity(text, scale)
		if !ok {
			return
		}
		if v, onChart := a.LogMAR(); onChart && (math.IsNaN(v) || v < -1 || v > 3) {
			t.Errorf("logMAR %v", v)
		}
		if back, ok := study.ParseAcuity(a.String(), ""); !ok || back != a {
			t.Errorf("%q does not read back", a)
		}
	})
}
