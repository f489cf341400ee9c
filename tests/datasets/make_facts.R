# Writes facts.json: what R says of each data set, by other means than make_datasets.R.
#
#   Rscript tests/datasets/make_facts.R [directory]        (needs lme4, nlme, jsonlite)
#
# The simulated study is read from tests/reference/family, which SOLAR and lme4qtl have analysed. All its SNPs and
# the 21 mibd files that SOLAR read are in the directory given as an argument (genotypes.csv, mibd/); without one, what is
# stated of these is kept.
#
# Per column: R's class; sum and sum(i * x_i) of the numbers, or of the integer codes of a factor
# (so that the order of rows and levels counts), missing ones left out and counted; the number of levels, the first and last ones and
# the MD5 of all of them, each with a line end.

packages <- list(
  lme4 = c("sleepstudy", "Penicillin", "Dyestuff", "Dyestuff2", "Pastes", "cake", "cbpp", "InstEval",
           "VerbAgg", "grouseticks", "Arabidopsis"),
  nlme = c("Orthodont", "Oats", "Machines", "ergoStool"))

md5 <- function(x) {
  path <- tempfile()
  on.exit(unlink(path))
  writeLines(x, path)
  unname(tools::md5sum(path))
}

column_facts <- function(x) {
  codes <- as.numeric(x)
  facts <- list(class = class(x)[[1]], sum = sum(codes, na.rm = TRUE),
                weighted = sum(seq_along(codes) * codes, na.rm = TRUE))
  if (anyNA(x)) facts$missing <- sum(is.na(x))
  if (!is.factor(x)) return(facts)
  l <- levels(x)
  c(facts, list(n_levels = length(l), first = I(head(l, 3)), last = I(tail(l, 3)), md5 = md5(l)))
}

here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))))
facts_of <- function(d) list(rows = nrow(d), columns = lapply(as.list(as.data.frame(d)), column_facts))

facts <- list()
shipped <- new.env()
for (package in names(packages)) for (name in packages[[package]]) {
  data(list = name, package = package, envir = shipped)
  facts[[name]] <- facts_of(shipped[[name]])
}

simulated <- function(name) read.csv(file.path(here, "..", "reference", "family", paste0(name, ".csv")))
people <- simulated("phenotypes")
genotypes <- simulated("genotypes")
facts$family <- facts_of(with(people, data.frame(
  ID, bmi, fvii, age, sex = factor(ifelse(SEX == 2, "female", "male"), c("male", "female")), household = HHID,
  snp7 = genotypes$snp7[match(ID, genotypes$ID)])))
facts$family_pedigree <- facts_of(simulated("pedigree"))

args <- commandArgs(TRUE)
mibd <- function(position) {
  pairs <- read.csv(file.path(args[[1]], "mibd", sprintf("mibd.1.%d.csv", position)))
  data.frame(chromosome = 1L, position = as.double(position), pairs)
}
if (length(args)) {
  facts$family_genotypes <- facts_of(read.csv(file.path(args[[1]], "genotypes.csv")))
  facts$family_ibd <- facts_of(do.call(rbind, lapply(seq(0, 100, 5), mibd)))
} else {
  kept <- jsonlite::fromJSON(file.path(here, "facts.json"))
  for (name in c("family_genotypes", "family_ibd")) facts[[name]] <- kept[[name]]
}

writeLines(jsonlite::toJSON(facts, auto_unbox = TRUE, pretty = TRUE, digits = I(17)),
           file.path(here, "facts.json"))
