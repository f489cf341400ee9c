# The worker for R's lme4; the protocol is told in worker.py.

say <- function(...) {
  cat(jsonlite::toJSON(list(...), auto_unbox = TRUE, digits = I(17), null = "null", na = "null"), "\n", sep = "")
  flush(stdout())
}

memory_mb <- function(entry) {
  if (!file.exists("/proc/self/status")) return(NULL)
  line <- grep(paste0("^", entry), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

reset_peak <- function() {
  if (file.access("/proc/self/clear_refs", 2) == 0) {
    suppressWarnings(try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE))
  }
}

load_frame <- function(job) {
  classes <- setNames(rep("character", length(job$factors)), names(job$factors))
  frame <- read.csv(job$csv, colClasses = classes, na.strings = "", check.names = FALSE)
  for (name in names(job$factors)) frame[[name]] <- factor(frame[[name]], levels = unlist(job$factors[[name]]))
  frame
}

# Only the whole lmer() call is timed; what it warns of is kept.
fit_once <- function(job, frame) {
  noted <- character()
  model <- as.formula(job$formula)
  gc(verbose = FALSE)
  start <- Sys.time()
  withCallingHandlers(
    fit <- lme4::lmer(model, frame, REML = job$reml),
    warning = function(w) {
      noted <<- c(noted, conditionMessage(w))
      invokeRestart("muffleWarning")
    },
    message = function(m) {
      noted <<- c(noted, trimws(conditionMessage(m)))
      invokeRestart("muffleMessage")
    }
  )
  seconds <- as.numeric(difftime(Sys.time(), start, units = "secs"))
  say(
    seconds = seconds,
    criterion = if (job$reml) lme4::REMLcrit(fit) else -2 * as.numeric(logLik(fit)),
    beta = I(unname(lme4::fixef(fit))),
    theta = I(unname(lme4::getME(fit, "theta"))),
    varcomp = NULL,
    peak_rss_mb = memory_mb("VmHWM"),
    warnings = I(head(unique(noted), 3)),
    error = NULL
  )
}

versions <- function() {
  blas <- extSoftVersion()[["BLAS"]]
  list(
    R = as.character(getRversion()),
    lme4 = as.character(packageVersion("lme4")),
    Matrix = as.character(packageVersion("Matrix")),
    "R BLAS" = file.path(basename(dirname(blas)), basename(blas))
  )
}

main <- function() {
  suppressPackageStartupMessages(library(lme4))
  job <- jsonlite::fromJSON(commandArgs(trailingOnly = TRUE)[1], simplifyVector = FALSE)
  frame <- load_frame(job)
  gc(verbose = FALSE)
  reset_peak()
  say(ready = TRUE, loaded_rss_mb = memory_mb("VmRSS"), versions = versions(), error = NULL)
  input <- file("stdin", "r")
  while (length(line <- readLines(input, n = 1)) > 0) {
    if (trimws(line) == "fit") fit_once(job, frame)
  }
}

tryCatch(main(), error = function(e) {
  say(error = conditionMessage(e))
  quit(status = 1)
})
