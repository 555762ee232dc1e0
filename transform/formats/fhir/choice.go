package fhir

import (
	"slices"
	"strings"
)

// types are the datatypes that the element of a choice can be of (R4, 2.24), as its
// name ends: value[x] of a Quantity is valueQuantity.
var types = strings.Fields(`Base64Binary Boolean Canonical Code Date DateTime Decimal Id Instant Integer Markdown Oid
	PositiveInt String Time UnsignedInt Uri Url Uuid Address Age Annotation Attachment CodeableConcept Coding ContactPoint Count
	Distance Duration HumanName Identifier Money Period Quantity Range Ratio Reference SampledData Signature Timing
	ContactDetail Contributor DataRequirement Expression ParameterDefinition RelatedArtifact TriggerDefinition
	UsageContext Dosage Meta Integer64 CodeableReference RatioRange`)

// single are those with several elements that have a text nevertheless.
var single = map[string]bool{"Age": true, "CodeableConcept": true, "Coding": true, "Count": true, "Distance": true, "Duration": true,
	"Identifier": true, "Period": true, "Quantity": true, "Reference": true}

// choiceOf splits the name of a choice's element into the choice and the type;
// kind is "" where it is none.
func choiceOf(name string) (base, kind string) {
	for _, t := range types {
		if base, ok := strings.CutSuffix(name, t); ok && base != "" && len(t) > len(kind) {
			kind = t
		}
	}
	return strings.TrimSuffix(name, kind), kind
}

// sameType reports whether the type of a choice is the one asked for: names of
// primitive types may begin with a small letter, as FHIR writes them.
func sameType(kind, asked string) bool {
	return kind == asked || len(kind) == len(asked) && kind != "" && kind[1:] == asked[1:] && kind[0]|0x20 == asked[0]
}

// tell adds a name to what is reported.
func (n *names) tell(name string) {
	if n.told[name] || len(n.told) >= maxTold {
		return
	}
	n.told[name] = true
	at, _ := slices.BinarySearch(n.unasked, name)
	n.unasked = slices.Insert(slices.Clone(n.unasked), at, name)
}
