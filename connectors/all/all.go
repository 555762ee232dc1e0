// Package all is the list of connectors: one line each.
package all

import (
	"longitude/connectors"
	"longitude/connectors/fhir"
	"longitude/connectors/folder"
	"longitude/connectors/gcs"
	"longitude/connectors/openclinica"
	"longitude/connectors/rave"
	"longitude/connectors/redcap"
	"longitude/connectors/rest"
	"longitude/connectors/sftp"
	"longitude/connectors/webhook"
)

// Specs lists every connector of this program.
func Specs() []connectors.Spec {
	return []connectors.Spec{
		fhir.Spec(),
		folder.Spec(),
		gcs.Spec(),
		openclinica.Spec(),
		rave.Spec(),
		redcap.Spec(),
		rest.Spec(),
		sftp.Spec(),
		webhook.Spec(),
	}
}
