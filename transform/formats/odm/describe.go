package odm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// Describe turns the metadata of an ODM file into documents of that study: the first
// of those given, which is one file. It reads neither clinical nor administrative data.
func (Format) Describe(ctx context.Context, name string, metadata []study.Metadata) (*transform.Description, error) {
	if len(metadata) == 0 {
		return nil, &study.Error{Code: "odm.no_metadata", Op: "describing a study of which nothing was sent",
			Hint: "export the project with its definitions"}
	}
	top, err := readTree(ctx, bytes.NewReader(metadata[0].Bytes))
	if err != nil {
		return nil, err
	}
	about, definitions, err := metadataOf(top)
	if err != nil {
		return nil, err
	}
	m := &model{about: about, metadata: definitions, items: definitions.byOID("ItemDef"), groups: definitions.byOID("ItemGroupDef"),
		lists: definitions.byOID("CodeList"), units: about.below("BasicDefinitions").byOID("MeasurementUnit")}
	m.title = cmp.Or(transform.Printable(about.below("GlobalVariables", "StudyName").said()), transform.Printable(about.at("StudyName")), name)
	if m.findForms(); len(m.forms) == 0 {
		return nil, &study.Error{Code: "odm.no_forms", Op: "describing a study whose metadata define no form with items",
			Hint: "a study needs forms: export the project with its form and item definitions"}
	}
	m.findVisits()
	m.findTimes()
	return m.proposal(name).Documents(), nil
}

// model is a study as its metadata define it.
type model struct {
	about, metadata             *node
	items, groups, lists, units map[string]*node
	title                       string
	byGroup                     bool // groups repeat in forms, so a row is a group
	forms                       []formModel
	visits                      []visitModel
	notes                       []string
}

type formModel struct {
	oid, name, label string
	of               []string // the forms that a group lies in
	occurrence       string   // column; "" = once per visit
	fields           []fieldModel
}

type fieldModel struct {
	item     *node
	name     string
	column   string
	required bool
}

type visitModel struct {
	def           *node
	name          string
	forms         []string // OIDs, with those of required ones in required
	required      map[string]bool
	optional      bool
	timed         bool
	day           int
	before, after int
	anchor        string
}

func (m *model) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// findForms lists the forms, or their groups where these repeat. Since ODM 2.0 a
// form is a group that lies in no other.
func (m *model) findForms() {
	defs := m.metadata.all("FormDef")
	if len(defs) == 0 {
		inside := map[string]bool{}
		for _, g := range m.groups {
			for _, ref := range g.all("ItemGroupRef") {
				inside[ref.at("ItemGroupOID")] = true
			}
		}
		defs = slices.DeleteFunc(m.metadata.all("ItemGroupDef"), func(g *node) bool { return inside[g.at("OID")] })
	}
	for _, def := range defs {
		for _, g := range m.groupsIn(def, nil) {
			m.byGroup = m.byGroup || g != def && g.at("Repeating") == yes
		}
	}
	taken, added := transform.Names{}, map[string]int{}
	for _, def := range defs {
		groups := m.groupsIn(def, nil)
		whole := formModel{oid: def.at("OID"), of: []string{def.at("OID")}, label: label(def)}
		if def.at("Repeating") == yes || m.repeatedByREDCap(def.at("OID")) {
			whole.occurrence = "@FormRepeatKey"
		}
		if !m.byGroup {
			m.addForm(whole, give(taken, def), groups)
			continue
		}
		for _, g := range groups {
			part := whole
			if i, ok := added[g.at("OID")]; ok {
				m.forms[i].of = append(m.forms[i].of, whole.oid)
				continue
			}
			if g != def && g.at("Repeating") == yes {
				if part.occurrence != "" {
					m.note("form %s repeats, and its group %s too: the group's number tells records apart", transform.Printable(whole.oid), transform.Printable(g.at("OID")))
				}
				part.occurrence = "@ItemGroupRepeatKey"
			}
			part.oid, part.label = g.at("OID"), label(g)
			if m.addForm(part, give(taken, g), []*node{g}) {
				added[part.oid] = len(m.forms) - 1
			}
		}
	}
}

// repeatedByREDCap reports whether a REDCap project repeats the form, which its
// definition does not say.
func (m *model) repeatedByREDCap(oid string) bool {
	list := m.about.below("GlobalVariables", "RepeatingInstrumentsAndEvents", "RepeatingInstruments").all("RepeatingInstrument")
	return slices.ContainsFunc(list, func(n *node) bool { return oid == "Form."+n.at("RepeatInstrument") })
}

// groupsIn are the groups of a form in their order, itself included, each once.
func (m *model) groupsIn(def *node, seen []*node) []*node {
	if slices.Contains(seen, def) || len(seen) > maxNames {
		return seen
	}
	if def.name == "ItemGroupDef" {
		seen = append(seen, def)
	}
	for _, ref := range def.all("ItemGroupRef") {
		if g := m.groups[ref.at("ItemGroupOID")]; g != nil {
			seen = m.groupsIn(g, seen)
		}
	}
	return seen
}

// addForm adds a form with the fields of its groups, unless it has none.
func (m *model) addForm(f formModel, name string, groups []*node) (added bool) {
	count := map[string]int{}
	for _, g := range groups {
		for _, ref := range g.all("ItemRef") {
			count[ref.at("ItemOID")]++
		}
	}
	taken := transform.Names{}
	for _, g := range groups {
		for _, ref := range g.all("ItemRef") {
			oid := ref.at("ItemOID")
			item := m.items[oid]
			if item == nil {
				m.note("form %s refers to an item that the metadata do not define", name)
				continue
			}
			column := oid
			if count[oid] > 1 || strings.HasPrefix(oid, "/") || strings.HasPrefix(oid, "@") {
				escape := strings.NewReplacer("~", "~0", "/", "~1")
				column = "/" + escape.Replace(g.at("OID")) + "/" + escape.Replace(oid)
			}
			f.fields = append(f.fields, fieldModel{item: item, name: give(taken, item), column: column, required: ref.at("Mandatory") == yes})
		}
	}
	if f.name = name; len(f.fields) == 0 {
		return false
	}
	m.forms = append(m.forms, f)
	return true
}

// findVisits lists the events in the order of the protocol.
func (m *model) findVisits() {
	defs := m.metadata.all("StudyEventDef")
	order := map[string]int{}
	for i, ref := range m.metadata.below("Protocol").all("StudyEventRef") {
		number, err := strconv.Atoi(ref.at("OrderNumber"))
		if err != nil {
			number = i
		}
		order[ref.at("StudyEventOID")] = number + 1
	}
	last := func(n *node) int { return cmp.Or(order[n.at("OID")], math.MaxInt) } // of what the protocol does not name
	slices.SortStableFunc(defs, func(a, b *node) int { return cmp.Compare(last(a), last(b)) })
	taken := transform.Names{}
	for _, def := range defs {
		v := visitModel{def: def, name: give(taken, def), required: map[string]bool{}, optional: def.at("Type") == "Unscheduled"}
		for _, ref := range append(def.all("FormRef"), def.all("ItemGroupRef")...) {
			oid := cmp.Or(ref.at("FormOID"), ref.at("ItemGroupOID"))
			v.forms = append(v.forms, oid)
			v.required[oid] = ref.at("Mandatory") == yes
		}
		m.visits = append(m.visits, v)
	}
}

func label(n *node) string {
	for _, of := range []string{"Question", "Description"} {
		if text := transform.Printable(n.below(of).said()); text != "" {
			return text
		}
	}
	return transform.Printable(n.at("Name"))
}

// give is a name for a definition: of its Name, else of its OID.
func give(t transform.Names, n *node) string {
	return t.Give(n.at("UniqueEventName"), n.at("Name"), n.at("OID"))
}
