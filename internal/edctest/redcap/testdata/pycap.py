"""The ordinary calls of PyCap against the address and token given."""
import json
import sys

import redcap

project = redcap.Project(sys.argv[1], sys.argv[2])
print(json.dumps({
    "fields": project.field_names,
    "longitudinal": project.is_longitudinal,
    "version": str(project.export_version()),
    "project": project.export_project_info()["project_id"],
    "records": len(project.export_records()),
    "eav": len(project.export_records(record_type="eav")),
    "one": [r["study_id"] for r in project.export_records(records=["10"], fields=["visit_date"])],
    "csv": project.export_records(format_type="csv", export_data_access_groups=True).splitlines()[0],
    "metadata": [f["field_name"] for f in project.export_metadata()],
    "names": len(project.export_field_names()),
    "events": len(project.export_events()),
    "arms": len(project.export_arms()),
    "mapping": len(project.export_instrument_event_mappings()),
    "instruments": len(project.export_instruments()),
    "repeating": len(project.export_repeating_instruments_events()),
    "log": len(project.export_logging(log_type="record_add")),
    "next": str(project.generate_next_record_name()),
}))
try:
    project.delete_records(["2"])
except redcap.RedcapError as refused:
    print(refused)
