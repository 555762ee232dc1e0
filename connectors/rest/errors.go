package rest

import (
	"errors"

	"longitude/study"
)

var (
	errNotJSON = &study.Error{Code: "rest.not_json", Op: "read a page: it is not JSON",
		Hint: "compare format of the stream with what the API answers; `longitude preview` shows a page"}
	errNotCSV = &study.Error{Code: "rest.not_csv", Op: "read a page: it is not CSV",
		Hint: "compare format and delimiter of the stream with what the API answers"}
	errNotXML = &study.Error{Code: "rest.not_xml", Op: "read a page: it is not XML without a document type",
		Hint: "compare format of the stream with what the API answers"}
	errNoRecords = &study.Error{Code: "rest.no_records", Op: "find the records of a page: what records points at is no list",
		Hint: "point records at the array that holds them, like /data"}
	errLoop = &study.Error{Code: "rest.loop", Op: "go to the next page: it is one that was read already",
		Hint: "compare pages of the stream with the API's documentation: the server may take no notice of the parameter"}
	errTooMany = &study.Error{Code: "rest.too_many_pages", Op: "go to the next page: there are more than pages.most",
		Hint: "raise most if the list is that long; else compare pages of the stream with the API's documentation"}
	errElsewhere = &study.Error{Code: "rest.elsewhere", Op: "go to the next page: it is said to be at another host",
		Hint: "credentials are not sent there; use pages by page, offset or cursor, which need no address"}
	errTime = &study.Error{Code: "rest.time", Op: "read when a record changed: it is written in another way than since.layout",
		Hint: "write since.layout as the API writes times"}
	errTie = &study.Error{Code: "rest.tie", Op: "go to the next page: more records have changed at one time than a page holds",
		Hint: "raise pages.size, or name the parameter that takes the key of the last record"}
	errPassing = &study.Error{Code: "rest.retry", Op: "a rule takes the answer for a passing failure", Temporary: true,
		Hint: "it is tried again; see rules of the source"}
	errFinal = &study.Error{Code: "rest.failed", Op: "a rule takes the answer for a failure",
		Hint: "the server's answer is an error whatever its status; see rules of the source"}
	errToken = &study.Error{Code: "rest.token", Op: "sign in: the answer holds no access_token",
		Hint: "compare auth.token_url and auth.send with the API's documentation"}
	errExport = &study.Error{Code: "rest.export_failed", Op: "have the server prepare an export: it failed there",
		Hint: "the next run asks for another one; if it keeps happening, ask whoever runs the server", Temporary: true}
	errExportLate = &study.Error{Code: "rest.export_late", Op: "have the server prepare an export: it is not ready within export.within",
		Hint: "raise within; the next run asks for another one", Temporary: true}
	errExportID = &study.Error{Code: "rest.export_id", Op: "have the server prepare an export: its answer does not say which it is",
		Hint: "compare export.id with the API's documentation"}
)

// What a rule makes of an answer without data. They end no run.
var (
	errSkip = errors.New("nothing here")
	errStop = errors.New("the end of the list")
)
