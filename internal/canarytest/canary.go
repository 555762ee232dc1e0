// Package canarytest plants identifiers that nobody could mistake for data, and
// finds them again wherever they went and however they were encoded.
//
// Every canary is invented: numbers are of ranges that are never given out
// (Social Security numbers that begin with 987-65, telephones 555-01xx, addresses
// of 192.0.2.0/24, hosts of .invalid), and names are those of nobody.
package canarytest

import (
	"fmt"
	"strings"
)

// Class is a kind of identifier.
type Class string

// The classes that are planted.
const (
	Name    Class = "name"
	MRN     Class = "mrn" // also the participant's identifier at the source
	SSN     Class = "ssn"
	Phone   Class = "phone"
	Email   Class = "email"
	IP      Class = "ip"
	Moment  Class = "moment" // a date with an odd time of day
	Address Class = "address"
	URL     Class = "url"
	Device  Class = "device"
	Text    Class = "text" // a remark that only one person's notes hold
	Staff   Class = "staff"
)

// Classes lists them in a fixed order.
var Classes = []Class{Name, MRN, SSN, Phone, Email, IP, Moment, Address, URL, Device, Text, Staff}

// PerClass is how many canaries each class has.
const PerClass = 20

// Canary is one planted identifier.
type Canary struct {
	Class  Class
	Number int // from 0 within the class
	Text   string
}

// String names the canary without saying it.
func (c Canary) String() string { return fmt.Sprintf("%s %d", c.Class, c.Number) }

// All is every canary, the same in every run.
func All() []Canary {
	var all []Canary
	for _, class := range Classes {
		for n := range PerClass {
			all = append(all, Of(class, n))
		}
	}
	return all
}

// Of is the canary of a class with this number.
func Of(class Class, n int) Canary {
	text := ""
	switch class {
	case Name:
		text = given[n%len(given)] + " " + family(n)
	case MRN:
		text = fmt.Sprintf("77391004%04d", 1207+n*31)
	case SSN:
		text = fmt.Sprintf("987-65-4%03d", 300+n)
	case Phone:
		text = fmt.Sprintf("+1 (202) 555-01%02d", n)
	case Email:
		text = fmt.Sprintf("zq.%s%02d@canary.invalid", strings.ToLower(given[n%len(given)]), n)
	case IP:
		text = fmt.Sprintf("192.0.2.%d", 101+n)
	case Moment:
		text = fmt.Sprintf("1931-02-%02dT03:47:%02d.137", 3+n, 11+n)
	case Address:
		text = fmt.Sprintf("%d Zqelmwood Crescent, Ulverzhorpe", 1701+n)
	case URL:
		text = fmt.Sprintf("https://canary.invalid/zq/person?id=%d&see=chart", 4711+n)
	case Device:
		text = fmt.Sprintf("IOL-ZQX-%06d/%02d", 774109+n*7, n)
	case Text:
		text = fmt.Sprintf("lives above the bakery at pier %d with two parrots", 340+n)
	case Staff:
		text = "Dr " + staff[n%len(staff)] + " Quozzwick-" + family(n+7)
	}
	return Canary{class, n, text}
}

var (
	given = []string{"Zephronia", "Quillamina", "Xanthobel", "Yzolinde", "Wrenzibeth", "Vuzanne", "Ulfzara", "Thaziel", "Szorina", "Rhuzalind"}
	staff = []string{"Ozwina", "Pelzimon", "Kwazimir", "Jazquin", "Izzobert"}
	names = []string{"O'Zquillan", "Quaxby", "Zwickleford", "D'Ozzemarsh", "Vexingdale", "Zhuttlewurth", "Quobbinshaw"}
)

// family is a family name: every second one has an apostrophe, which HTML and
// JSON write in other ways.
func family(n int) string {
	return names[n%len(names)] + string([]byte{"bdfgklmnprstvwxz"[n%16], "aeiou"[n%5]}) + "zqu"
}
