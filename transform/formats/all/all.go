// Package all lists the formats: one line each.
package all

import (
	"longitude/transform"
	"longitude/transform/formats/csv"
	"longitude/transform/formats/datasetjson"
	"longitude/transform/formats/fhir"
	"longitude/transform/formats/json"
	"longitude/transform/formats/odm"
	"longitude/transform/formats/redcap"
	"longitude/transform/formats/xlsx"
	"longitude/transform/formats/xport"
)

// Formats returns every format by the name it has in a source document.
func Formats() map[string]transform.Format {
	return map[string]transform.Format{
		"csv":         csv.Format{},
		"datasetjson": datasetjson.Format{},
		"fhir":        fhir.Format{},
		"json":        json.Format{},
		"ndjson":      json.Format{Lines: true},
		"odm":         odm.Format{},
		"redcap":      redcap.Format{JSON: json.Format{}},
		"xlsx":        xlsx.Format{},
		"xport":       xport.Format{},
	}
}
