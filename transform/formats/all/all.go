// Package all lists the formats: one line each.
package all

import (
	"longitude/transform"
	"longitude/transform/formats/csv"
	"longitude/transform/formats/datasetjson"
	"longitude/transform/formats/xport"
)

// Formats returns every format by the name it has in a source document.
func Formats() map[string]transform.Format {
	return map[string]transform.Format{
		"csv":         csv.Format{},
		"datasetjson": datasetjson.Format{},
		"xport":       xport.Format{},
	}
}
