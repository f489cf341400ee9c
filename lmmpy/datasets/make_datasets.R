# Writes data/<name>.csv[.gz] and data/index.json from R's lme4 and nlme.
#
#   Rscript lmmpy/datasets/make_datasets.R [directory]     (default: data/ beside this file)
#
# Needs lme4, nlme and jsonlite (Debian: r-cran-lme4, r-cran-nlme, r-cran-jsonlite).
# Running it twice gives the same bytes: gzfile() leaves the time stamp zero.

MAX_PLAIN_BYTES <- 200000

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))
args <- commandArgs(TRUE)
out <- if (length(args)) args[[1]] else file.path(room, "data")
source(file.path(room, "descriptions.R"))

# What scripts/make_family.py has written; it comes out the same.
simulated <- function(name, ending = ".csv") read.csv(file.path(room, "data", paste0(name, ending)))

made_here <- list(
  sire = data.frame(y = c(9, 12, 11, 6, 7, 14),
                    env = factor(c(1, 2, 1, 1, 1, 2)),
                    sire = factor(c("a", "a", "b", "b", "c", "c"))),
  mrode = data.frame(ID = 1:6, FA = c(0L, 0L, 1L, 1L, 4L, 5L), MO = c(0L, 0L, 2L, 0L, 3L, 2L)),
  calves = data.frame(ID = 1:8, FA = c(0L, 0L, 0L, 1L, 3L, 1L, 4L, 3L), MO = c(0L, 0L, 0L, 0L, 2L, 2L, 5L, 6L),
                      sex = factor(c("male", "female", "male", "male", "female", "female", "male", "male"),
                                   c("male", "female")),
                      gain = c(NA, NA, NA, 4.5, 2.9, 3.9, 3.5, 5)),
  family = within(simulated("family"), sex <- factor(sex, c("male", "female"))),
  family_pedigree = simulated("family_pedigree"),
  family_genotypes = simulated("family_genotypes"),
  family_ibd = within(simulated("family_ibd", ".csv.gz"), {position <- as.double(position); ibd <- as.double(ibd)}))

column_type <- function(x) {
  if (is.ordered(x)) "ordered"
  else if (is.factor(x)) "factor"
  else if (is.integer(x)) "integer"
  else if (is.numeric(x)) "number"
  else if (is.character(x)) "text"
  else stop("no type for a column of class ", class(x)[[1]])
}

# The shortest of 15, 16 or 17 significant digits that reads back as the same double.
shortest <- function(x) {
  s <- sprintf("%.15g", x)
  for (digits in 16:17) {
    off <- as.numeric(s) != x
    s[off] <- sprintf("%.*g", digits, x[off])
  }
  s
}

column_text <- function(x) {
  s <- character(length(x))
  known <- !is.na(x)
  s[known] <- if (is.double(x)) shortest(x[known]) else as.character(x[known])
  if (!is.double(x) && !all(known)) stop("a missing value: the loader reads them in columns of doubles only")
  s[!known] <- "NaN"
  awkward <- grep("[\",\n]", s, value = TRUE)
  if (length(awkward)) stop("a label that would need quotes: ", awkward[[1]])
  s
}

write_lines <- function(lines, con) {
  on.exit(close(con))
  writeLines(lines, con, sep = "\n", useBytes = TRUE)
}

write_csv <- function(d, name) {
  lines <- c(paste(names(d), collapse = ","), do.call(paste, c(lapply(d, column_text), sep = ",")))
  large <- sum(nchar(lines, "bytes") + 1) > MAX_PLAIN_BYTES
  file_name <- paste0(name, if (large) ".csv.gz" else ".csv")
  path <- file.path(out, file_name)
  write_lines(lines, if (large) gzfile(path, "wb", compression = 9) else file(path, "wb"))
  file_name
}

column_entry <- function(x, name, words) {
  entry <- list(name = name, type = column_type(x), unit = words[[1]], description = words[[2]])
  if (is.factor(x)) entry$levels <- I(levels(x))
  entry
}

source_text <- function(words) {
  if (is.null(words$package)) return(words$citation)
  sprintf("%s; as in R's %s %s", words$citation, words$package, packageDescription(words$package)$Version)
}

dataset_entry <- function(name) {
  words <- descriptions[[name]]
  d <- if (is.null(words$package)) made_here[[name]]
       else as.data.frame(getExportedValue(words$package, name))
  if (!identical(names(d), names(words$columns))) stop(name, ": columns and their descriptions differ")
  list(name = name, title = words$title, source = source_text(words), file = write_csv(d, name),
       rows = nrow(d), columns = unname(Map(column_entry, d, names(d), words$columns)))
}

dir.create(out, showWarnings = FALSE)
index <- lapply(names(descriptions), dataset_entry)
write_lines(jsonlite::toJSON(index, auto_unbox = TRUE, pretty = TRUE),
            file(file.path(out, "index.json"), "wb"))
