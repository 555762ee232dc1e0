package openclinica

import "testing"

// Two exports have the same fingerprint exactly where they say the same.
func TestFingerprint(t *testing.T) {
	const first = `<ODM FileOID="1" CreationDateTime="x"><C><S K="1" L="2"><I V="a"/><I V="b"/></S></C></ODM>`
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"made at another time":          {`<ODM FileOID="2"><C><S K="1" L="2"><I V="a"/><I V="b"/></S></C></ODM>`, true},
		"in another order":              {`<ODM><C><S L="2" K="1"><I V="b"/><I V="a"/></S></C></ODM>`, true},
		"with other white space":        {"<?xml version=\"1.0\"?>\n<ODM>\n<C><S  K='1' L='2'>\n<I V=\"a\"></I><I V=\"b\"/></S></C></ODM>\n", true},
		"written otherwise":             {`<ODM><C><S K="&#49;" L="2"><!-- no word --><I V="a"/><I V="b"/></S></C></ODM>`, true},
		"another value":                 {`<ODM><C><S K="1" L="2"><I V="a"/><I V="c"/></S></C></ODM>`, false},
		"a value twice":                 {`<ODM><C><S K="1" L="2"><I V="a"/><I V="b"/><I V="b"/></S></C></ODM>`, false},
		"a value less":                  {`<ODM><C><S K="1" L="2"><I V="a"/></S></C></ODM>`, false},
		"another name of an attribute":  {`<ODM><C><S K="1" M="2"><I V="a"/><I V="b"/></S></C></ODM>`, false},
		"another prefix":                {`<ODM><C><S K="1" v:L="2"><I V="a"/><I V="b"/></S></C></ODM>`, false},
		"two attributes as one":         {`<ODM><C><S K="1L=2"><I V="a"/><I V="b"/></S></C></ODM>`, false},
		"an element elsewhere":          {`<ODM><C><S K="1" L="2"><I V="a"><I V="b"/></I></S></C></ODM>`, false},
		"a text":                        {`<ODM><C><S K="1" L="2"><I V="a"/><I V="b">t</I></S></C></ODM>`, false},
		"the same of two other persons": {`<ODM><C><S K="1" L="2"><I V="a"/></S><S K="1" L="2"><I V="b"/></S></C></ODM>`, false},
	} {
		want, err := fingerprint([]byte(first))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := fingerprint([]byte(c.text)); err != nil || (got == want) != c.same {
			t.Errorf("%s: same %v, %v", name, got == want, err)
		}
	}
	for _, broken := range []string{`<a b="R&D"/>`, `<a><b></a></b>`, `<a>`, `</a>`, `<a b=1/>`, "<a>\xff</a>"} {
		if _, err := fingerprint([]byte(broken)); err == nil {
			t.Errorf("%s is no XML", broken)
		}
	}
}

// Whatever comes, a fingerprint is found or refused, and is the same again.
func FuzzFingerprint(f *testing.F) {
	f.Add([]byte(`<ODM a="1"><C><S K="1">t<I V="a"/></S></C></ODM>`))
	f.Add([]byte(`<a b="R&D"/>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		one, err := fingerprint(content)
		two, again := fingerprint(content)
		if one != two || (err == nil) != (again == nil) || (err == nil) != (len(one) == 64) {
			t.Errorf("%q, %v and %q, %v", one, err, two, again)
		}
	})
}
