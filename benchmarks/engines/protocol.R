# What every R engine shares: read the task, measure the fits, print one JSON line.
# The R twin of protocol.py: Rscript ENGINE.R --task FILE --fits N [--variant NAME]; --probe.

library(jsonlite)

arguments <- local({
  given <- commandArgs(trailingOnly = TRUE)
  value <- function(flag, default) {
    at <- match(flag, given)
    if (is.na(at)) default else given[at + 1]
  }
  list(
    probe = "--probe" %in% given,
    task = value("--task", ""),
    fits = as.integer(value("--fits", "1")),
    variant = value("--variant", "default")
  )
})

unsupported <- function(reason) {
  stop(structure(class = c("unsupported", "error", "condition"),
                 list(message = reason, call = NULL)))
}

read_data <- function(path) {
  frame <- if (requireNamespace("data.table", quietly = TRUE)) {
    data.table::fread(path, data.table = FALSE, nThread = 1)
  } else {
    read.csv(path)
  }
  factors <- fromJSON(sub("\\.csv$", ".json", path), simplifyVector = TRUE)
  for (name in names(factors)) {
    levels <- factors[[name]]
    frame[[name]] <- if (is.null(levels)) factor(frame[[name]])
                     else factor(frame[[name]], levels = levels)
  }
  frame
}

resident_mb <- function(key) {
  line <- grep(paste0("^", key), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

reset_peak <- function() {
  try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE)
}

seconds <- function(expression) {
  start <- proc.time()
  value <- suppressMessages(suppressWarnings(expression))
  spent <- proc.time() - start
  list(value = value, cpu = sum(spent[1:2]), wall = spent[[3]])
}

# fit(): a list of objective, criterion, converged. design(): formula and design only, or NULL.
measure <- function(fit, fits, design = NULL) {
  gc()
  reset_peak()
  baseline <- resident_mb("VmRSS")
  cpu <- wall <- numeric(fits)
  for (i in seq_len(fits)) {
    timed <- seconds(fit())
    cpu[i] <- timed$cpu
    wall[i] <- timed$wall
  }
  peak <- resident_mb("VmHWM")
  c(timed$value, list(
    cpu_s = I(cpu), wall_s = I(wall), baseline_mb = baseline, peak_mb = peak,
    design_s = if (is.null(design)) NULL else seconds(design())$cpu, status = "ok"
  ))
}

# prepare(task, frame): a list with fit and, where it can be separated, design.
serve <- function(package, prepare) {
  report <- list(version = as.character(packageVersion(package)))
  if (!arguments$probe) {
    task <- fromJSON(arguments$task, simplifyVector = FALSE)
    result <- tryCatch({
      prepared <- prepare(task, read_data(task$data))
      measure(prepared$fit, arguments$fits, prepared$design)
    }, unsupported = function(condition) {
      list(status = "unsupported", message = conditionMessage(condition))
    })
    report <- c(report, result)
  }
  cat("\n", toJSON(report, auto_unbox = TRUE, digits = NA, null = "null"), "\n", sep = "")
}
