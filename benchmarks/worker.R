# The worker's side of the protocol, shared by the R adapters; the protocol is told in worker.py.

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

read_job <- function(path) jsonlite::fromJSON(path, simplifyVector = FALSE)

load_column <- function(column) {
  size <- if (column$kind == "double") 8 else 4
  what <- if (column$kind == "double") "double" else "integer"
  values <- readBin(column$path, what, file.size(column$path) / size, size, endian = "little")
  if (column$kind != "factor") return(values)
  structure(values, levels = readLines(column$levels, encoding = "UTF-8"), class = "factor")
}

load_frame <- function(job) {
  names(job$columns) <- vapply(job$columns, function(column) column$name, "")
  list2DF(lapply(job$columns, load_column))
}

# The relatedness of the levels of the job's grouping factor, a matrix with their names.
load_relatedness <- function(job, frame) {
  labels <- levels(frame[[job$relatives$group]])
  size <- length(labels)
  read <- function(i, what, bytes) {
    path <- job$relatives$paths[[i]]
    readBin(path, what, file.size(path) / bytes, bytes, endian = "little")
  }
  if (job$relatives$kind == "dense") return(matrix(read(1, "double", 8), size, dimnames = list(labels, labels)))
  Matrix::sparseMatrix(
    i = read(1, "integer", 4), j = read(2, "integer", 4), x = read(3, "double", 8),
    dims = c(size, size), symmetric = TRUE, dimnames = list(labels, labels)
  )
}

# Only the whole fitting call is timed; what it warns of is kept.
fit_once <- function(adapter, job, frame) {
  noted <- character()
  model <- as.formula(if (is.null(job$relatives)) job$formula else job$relatives$plain)
  if (!is.null(adapter$prepare)) adapter$prepare(model, frame, job$reml)
  gc(verbose = FALSE)
  reset_peak()
  start <- Sys.time()
  withCallingHandlers(
    fit <- adapter$fit(model, frame, job$reml),
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
  peak <- memory_mb("VmHWM")
  read <- adapter$read(fit, job$reml)
  say(
    seconds = seconds,
    criterion = read$criterion,
    beta = I(unname(read$beta)),
    theta = if (is.null(read$theta)) NULL else I(unname(read$theta)),
    varcomp = read$varcomp,
    peak_rss_mb = peak,
    warnings = I(head(unique(noted), 3)),
    error = NULL
  )
}

versions <- function(packages) {
  blas <- extSoftVersion()[["BLAS"]]
  told <- lapply(setNames(packages, packages), function(package) as.character(packageVersion(package)))
  c(list(R = as.character(getRversion())), told, list("R BLAS" = file.path(basename(dirname(blas)), basename(blas))))
}

# adapter: packages (told in the versions; the first is attached), fit (timed), read (not timed), and prepare, which is
# called before each fit (not timed), or none; load is called once with the job and its frame (not timed), or none.
serve <- function(adapter) {
  main <- function() {
    suppressPackageStartupMessages(library(adapter$packages[1], character.only = TRUE))
    job <- read_job(tail(commandArgs(trailingOnly = TRUE), 1))
    frame <- load_frame(job)
    if (!is.null(adapter$load)) adapter$load(job, frame)
    gc(verbose = FALSE)
    say(ready = TRUE, loaded_rss_mb = memory_mb("VmRSS"), versions = versions(adapter$packages), error = NULL)
    input <- file("stdin", "r")
    while (length(line <- readLines(input, n = 1)) > 0) {
      if (trimws(line) == "fit") fit_once(adapter, job, frame)
    }
  }
  tryCatch(main(), error = function(e) {
    say(error = conditionMessage(e))
    quit(status = 1)
  })
}
