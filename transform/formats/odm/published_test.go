package odm

import "longitude/study"

// allFiles is how many published files there are; those that are not in inFiles hold
// metadata alone.
const allFiles = 68

// inFiles are the published files with clinical data, and those that are a part of
// an ODM file.
var inFiles = map[string]published{
	"cdisc-odm-examples/archive/ODM1-1/odm1_1_0_example.xml":                                                                                {forms: 5, groups: 11, items: 63},
	"cdisc-odm-examples/examples/Chronic_Low_Back_Pain/Chronic_Low_Back_Pain_example.xml":                                                   {forms: 1, groups: 4, items: 8},
	"cdisc-odm-examples/examples/Crossover_Studydesign/Crossover_Studydesign.xml":                                                           {code: "odm.root"},
	"cdisc-odm-examples/examples/Demographics_RACE/Demographics_RACE_check_all_that_apply.xml":                                              {forms: 3, groups: 21, items: 46},
	"cdisc-odm-examples/examples/Inclusion_Exclusion_Criteria_Workflow/Inclusion_Exclusion_Simple_Workflow.xml":                             {code: "odm.root"},
	"cdisc-odm-examples/examples/Physio_Underwater_Therapy_workflow/Physio_Underwater_Therapy_BPMN_to_ODMv2_Workflow_2019-10-18_result.xml": {code: "odm.root"},
	"cdisc-odm-examples/examples/Physio_Underwater_Therapy_workflow/Physio_Underwater_Therapy_BPMN_to_ODMv2_Workflow_result.xml":            {code: "odm.root"},
	"cdisc-odm-examples/examples/SimpleTimingConstraints/SimpleTimingConstraints.xml":                                                       {code: "odm.root"},
	"odmlib/ae.xml":                                             {forms: 16, groups: 16, items: 249},
	"odmlib/ae_test.xml":                                        {forms: 2, groups: 2, items: 22},
	"odmlib/dm.xml":                                             {forms: 5, groups: 5, items: 78},
	"odmlib/test_clinical_data_01.xml":                          {forms: 4, groups: 4, items: 10},
	"openedc/example/clinicaldata.xml":                          {forms: 366, groups: 595, items: 1684},
	"pycap/doctest_project.xml":                                 {forms: 3, groups: 6, items: 17},
	"pycap/test_simple_project.xml":                             {forms: 3, groups: 12, items: 35},
	"redcap-etl/data/projects/non-repeating.REDCap.xml":         {forms: 1, groups: 6, items: 18},
	"redcap-etl/data/projects/repeating-event-inst.REDCap.xml":  {forms: 1, groups: 6, items: 18},
	"redcap-etl/projects/BasicDemography.REDCap.xml":            {forms: 100, groups: 400, items: 1900},
	"redcap-etl/projects/MultipleChoice.REDCap.xml":             {forms: 50, groups: 200, items: 800},
	"redcap-etl/projects/RepeatingForms.REDCap.xml":             {forms: 232, groups: 622, items: 1817},
	"redcapr-test-projects/arm-single-longitudinal/project.xml": {forms: 9, groups: 18, items: 41},
	"redcapr-test-projects/checkboxes-1/project.xml":            {forms: 8, groups: 15, items: 50},
	"redcapr-test-projects/clinical-trial-1/project.xml":        {forms: 500, groups: 1000, items: 6500},
	"redcapr-test-projects/dag/project.xml":                     {forms: 3, groups: 12, items: 15},
	"redcapr-test-projects/decimal-dot/project.xml":             {forms: 4, groups: 8, items: 24},
	"redcapr-test-projects/longitudinal/project.xml":            {forms: 40, groups: 113, items: 406},
	"redcapr-test-projects/metadata-write/project.xml":          {forms: 15, groups: 50, items: 120},
	"redcapr-test-projects/repeating-instruments/project.xml":   {forms: 6, groups: 12, items: 34},
	"redcapr-test-projects/simple-write/project.xml":            {forms: 15, groups: 50, items: 110},
	"redcapr-test-projects/simple/project-old.xml":              {forms: 15, groups: 50, items: 124},
	"redcapr-test-projects/simple/project.xml":                  {forms: 15, groups: 50, items: 128},
	"redcapr-test-projects/survey/project.xml":                  {forms: 3, groups: 10, items: 16},
	"rwslib/test_double_byte_chars.xml":                         {forms: 1, groups: 1, items: 1},
}

// driftsOfOpenEDC are the changes of items between its ten dated versions.
var driftsOfOpenEDC = []map[study.DriftKind]int{{}, {}, {}, {}, {study.NewColumn: 1}, {study.MissingColumn: 1}, {}, {}, {}}

// formsDescribed are the forms of all published files with metadata, notDescribed
// the files that cannot be described, by error.
const formsDescribed = 276

var notDescribed = map[string]int{"odm.no_forms": 5, "odm.no_metadata": 7}

// recordsOf is what a file's data became with what its metadata were described as.
type recordsOf struct{ records, rejected int }

var mappedOf = map[string]recordsOf{
	"openedc/example/clinicaldata.xml":                          {314, 52},
	"pycap/doctest_project.xml":                                 {3, 0},
	"pycap/test_simple_project.xml":                             {3, 0},
	"redcap-etl/projects/BasicDemography.REDCap.xml":            {100, 0},
	"redcap-etl/projects/MultipleChoice.REDCap.xml":             {50, 0},
	"redcap-etl/projects/RepeatingForms.REDCap.xml":             {232, 0},
	"redcapr-test-projects/arm-single-longitudinal/project.xml": {9, 0},
	"redcapr-test-projects/checkboxes-1/project.xml":            {8, 0},
	"redcapr-test-projects/clinical-trial-1/project.xml":        {500, 0},
	"redcapr-test-projects/dag/project.xml":                     {3, 0},
	"redcapr-test-projects/decimal-dot/project.xml":             {4, 0},
	"redcapr-test-projects/longitudinal/project.xml":            {40, 0},
	"redcapr-test-projects/metadata-write/project.xml":          {15, 0},
	"redcapr-test-projects/repeating-instruments/project.xml":   {6, 0},
	"redcapr-test-projects/simple-write/project.xml":            {15, 0},
	"redcapr-test-projects/simple/project.xml":                  {15, 0},
	"redcapr-test-projects/survey/project.xml":                  {3, 0},
}

// studiesOfOpenEDC is how many of its ten versions are described otherwise than the
// one before.
const studiesOfOpenEDC = 8
