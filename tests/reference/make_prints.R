# Writes prints/<case>.txt: what R prints for models fitted to a tightened optimum, each print under "#### <which>".
#
#   Rscript tests/reference/make_prints.R
#
# Made with R 4.2.2, lme4 1.1-31, nlme 3.1-162. Beside it, tests/report/reference holds the prints of lmer's own
# optimum, which stops so early that last digits differ. Trailing blanks and lme4's notes are removed.
suppressMessages(library(lme4))
data(Machines, package = "nlme")
script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))

source(file.path(room, "optimum.R"))

tight_lmer <- function(...) {
  call <- match.call(lmer, sys.call())
  call[[1]] <- quote(lmer)
  tightened(call, getME(quietly(eval(call, globalenv())), "theta"))$model
}

notes <- "very different scales|optimizer|convergence code|could have been required|^boundary \\(singular\\)|^fit warnings"
printed <- function(...) {
  lines <- sub(" +$", "", capture.output(print(...)))
  lines <- lines[!grepl(notes, lines)]
  while (length(lines) && lines[length(lines)] == "") lines <- lines[-length(lines)]
  lines
}

case <- function(name, sections) {
  con <- file(file.path(room, "prints", paste0(name, ".txt")), "w", encoding = "UTF-8")
  for (which in names(sections)) writeLines(c(paste("####", which), sections[[which]]), con)
  close(con)
}
model <- function(name, m) case(name, list(summary = printed(summary(m), correlation = TRUE), print = printed(m),
                                           varcorr = printed(VarCorr(m))))

sleepstudy$w <- seq(0.5, 2, length.out = nrow(sleepstudy))
model("sleepstudy_reml", tight_lmer(Reaction ~ Days + (Days | Subject), sleepstudy))
model("sleepstudy_ml", tight_lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE))
model("sleepstudy_uncorrelated", tight_lmer(Reaction ~ Days + (Days || Subject), sleepstudy))
model("sleepstudy_weighted", tight_lmer(Reaction ~ Days + (Days | Subject), sleepstudy, weights = w, offset = Days * 2,
                                   subset = Days > 1))
model("penicillin", tight_lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin))
model("dyestuff2_singular", tight_lmer(Yield ~ 1 + (1 | Batch), Dyestuff2))
model("machines", tight_lmer(score ~ Machine + (Machine | Worker), Machines))
model("cake", tight_lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake))
cake$micro <- cake$angle * 1e6
model("cake_large", tight_lmer(micro ~ recipe + temperature + (1 | recipe:replicate), cake))
sleepstudy$ms <- sleepstudy$Days * 1e6
sleepstudy$short <- sleepstudy$Reaction * 1e-4
model("sleepstudy_small", tight_lmer(short ~ ms + (1 | Subject), sleepstudy))

m0 <- tight_lmer(Reaction ~ 1 + (1 | Subject), sleepstudy, REML = FALSE)
m1 <- tight_lmer(Reaction ~ Days + (1 | Subject), sleepstudy, REML = FALSE)
m2 <- tight_lmer(Reaction ~ Days + (Days || Subject), sleepstudy, REML = FALSE)
m3 <- tight_lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE)
case("anova", list(two = printed(anova(m2, m3)), strong = printed(anova(m0, m1)), four = printed(anova(m0, m1, m2, m3))))
