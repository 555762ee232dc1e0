# First look at release {{.ID}} of {{.Study}}, version {{.Version}}.
#
#   LONGITUDE_RELEASE=/path/to/{{.ID}} Rscript starters/quickstart.R
#
# One environment variable pins the release that everything is read from. Needs arrow and dplyr.

library(arrow)
library(dplyr)

release <- Sys.getenv("LONGITUDE_RELEASE", unset = ".")
read_table <- function(name) open_dataset(file.path(release, "data", name)) |> collect()

info <- read_table("release_info")
cat(sprintf("%s, version %s: %d participants, %d visits\n", info$release_id, info$version, info$n_participants, info$n_visits))

read_table("visits") |>
  group_by(visit) |>
  summarise(visits = n(), in_window = mean(in_window, na.rm = TRUE), study_day = median(study_day, na.rm = TRUE)) |>
  print()
{{- if .Observations}}

read_table("observations") |>
  filter(analysis_flag, !is.na(visit)) |>
  group_by(param, visit) |>
  summarise(n = n(), change = mean(change_from_baseline, na.rm = TRUE), .groups = "drop") |>
  print()
{{- end}}
