package rave

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// ordinary are the calls that rwslib's own documentation shows, unchanged.
const ordinary = `
import sys
from rwslib import RWSConnection
from rwslib.rws_requests import *
from rwslib.extras.audit_event.main import ODMAdapter
from rwslib.rwsobjects import RWSException

rws = RWSConnection(sys.argv[1], "longitude", "secret")
print("version", rws.send_request(VersionRequest()))
print("codename", rws.send_request(CodeNameRequest()))
print("twohundred", rws.send_request(TwoHundredRequest()))
print("studies", [(s.oid, s.studyname, s.environment) for s in rws.send_request(ClinicalStudiesRequest())])
print("projects", [s.studyname for s in rws.send_request(MetadataStudiesRequest())])
print("versions", [v.oid for v in rws.send_request(StudyVersionsRequest("Mediflex"))])
print("form", "ODM" in str(rws.send_request(StudyVersionRequest("Mediflex", 16))))
print("subjects", [s.subject_name for s in rws.send_request(StudySubjectsRequest("Mediflex", "Prod", subject_key_type="SubjectUUID"))])
print("view", rws.send_request(StudyDatasetRequest("Mediflex", "Prod", dataset_type="regular", formoid="VS", rawsuffix=".RAW")).count("ItemData"))
rows = rws.send_request(StudyDatasetRequest("Mediflex", "Prod", formoid="VS.csv"))
print("csv", rows.strip().splitlines()[-1])

class Eventer(object):
    def default(self, context):
        print("audit", context.subject.key, context.subcategory, context.item.oid if context.item else "", repr(context.item.value) if context.item else "", context.audit_record.source_id)

ODMAdapter(rws, "Mediflex", "Prod", Eventer()).run(start_id=1, per_page=2)
for wrong in (lambda: RWSConnection(sys.argv[1], "longitude", "wrong").send_request(ClinicalStudiesRequest()),
              lambda: rws.send_request(StudyVersionRequest("Mediflex", 99))):
    try:
        wrong()
    except RWSException as e:
        print("refused", str(e))
`

// rwslib, as published, makes its ordinary calls and understands every answer: that
// keeps the server honest. It runs where an interpreter has the library; RWSLIB_PYTHON
// names one.
func TestRwslib(t *testing.T) {
	python := os.Getenv("RWSLIB_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import rwslib").Run(); err != nil {
		t.Skip("no Python with rwslib here: make one with `python3 -m venv DIR && DIR/bin/pip install rwslib` and set RWSLIB_PYTHON=DIR/bin/python")
	}
	s := NewServer("Mediflex(Prod)", "longitude", "secret")
	s.Metadata["16"] = s.odm(`<Study OID="Mediflex"><GlobalVariables><StudyName>Mediflex</StudyName><StudyDescription/><ProtocolName>Mediflex</ProtocolName></GlobalVariables><MetaDataVersion OID="16" Name="v"/></Study>`).body
	s.Record(Audit{Subcategory: "SubjectCreated", Subject: "u-1", Name: "100 001", Site: "1"})
	for _, value := range []*string{Text("120"), nil, Text(""), Text("121")} {
		s.Record(Audit{Subject: "u-1", Site: "1", Event: "SCREEN", Repeat: "SCREEN[1]", Form: "VS", Item: "VS.SBP", Value: value})
	}
	address := strings.TrimSuffix(Start(t, s), root)
	out, err := exec.Command(python, "-c", ordinary, address).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		"version 1.18.0", "codename Uakari", "studies [('Mediflex(Prod)', 'Mediflex(Prod)', 'Prod')]", "projects ['Mediflex']", "versions ['16']", "form True",
		"subjects ['100 001']", "view 1", "csv EOF",
		"audit u-1 Entered VS.SBP '120' 3", "audit u-1 Entered VS.SBP None 6", "audit u-1 Entered VS.SBP '' 7", "audit u-1 Entered VS.SBP '121' 9",
		"refused Incorrect login and password combination. [RWS00008]", "refused CRF version not found",
	}
	for _, line := range want {
		if !strings.Contains(string(out), line+"\n") {
			t.Errorf("rwslib did not say %q", line)
		}
	}
	if t.Failed() {
		t.Log(string(out))
	}
}
