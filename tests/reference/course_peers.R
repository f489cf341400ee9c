# Writes course_peers.json: what lme4, lmerTest, pbkrtest, nlme, lme4qtl, MCMCglmm, hglm and GEMMA answer in the tenth
# notebook of the course, to as many digits as they have.
#
#   Rscript tests/reference/course_peers.R
#
# Made with R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5-2, nlme 3.1-162, lme4qtl 0.2.2, MCMCglmm 2.36, hglm 2.2-1
# and GEMMA 0.98.5. Each part is left out where its program is missing. All with their default stopping rules: these are
# the numbers that a user sees; hglm, whose default stops early here, with a tight rule as well.
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(nlme); library(jsonlite)})

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))
have <- function(package) requireNamespace(package, quietly = TRUE)
version <- function(packages) sapply(Filter(have, packages), function(p) as.character(packageVersion(p)))
answers <- list(versions = as.list(c(R = as.character(getRversion()), version(
  c("lme4", "lmerTest", "pbkrtest", "nlme", "lme4qtl", "MCMCglmm", "hglm")))))

components <- function(m) {
  v <- as.data.frame(lme4::VarCorr(m))
  setNames(as.list(v$sdcor), ifelse(v$grp == "Residual", "sigma",
                                    paste0(v$grp, ".", v$var1, ifelse(is.na(v$var2), "", paste0(".", v$var2)))))
}

# ---- lme4, lmerTest, pbkrtest
m <- lmerTest::lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
coefficients <- coef(summary(m))
KR <- anova(m, ddf = "Kenward-Roger")
ML <- suppressMessages(anova(lme4::lmer(Reaction ~ Days + (Days || Subject), sleepstudy), m))
set.seed(1)
answers$lme4 <- list(
  REMLcrit = lme4::REMLcrit(m), logLik = as.numeric(logLik(m)), sdcor = components(m),
  theta = as.list(lme4::getME(m, "theta")), beta = as.list(coefficients[, "Estimate"]),
  se = as.list(coefficients[, "Std. Error"]), satterthwaite_df = as.list(coefficients[, "df"]),
  satterthwaite_p = as.list(coefficients[, "Pr(>|t|)"]),
  kenward_roger = list(df = KR$DenDF, F = KR$`F value`, p = KR$`Pr(>F)`),
  ranova = list(LRT = ranova(m)$LRT[2], p = ranova(m)$`Pr(>Chisq)`[2]),
  anova = list(Chisq = ML$Chisq[2], p = ML$`Pr(>Chisq)`[2]),
  confint = suppressMessages({ci <- confint(m, quiet = TRUE, oldNames = FALSE); split(ci, rownames(ci))}))

# ---- nlme
Orthodont <- as.data.frame(nlme::Orthodont)
strata <- lme(distance ~ age * Sex, Orthodont, random = ~ 1 | Subject, weights = varIdent(form = ~ 1 | Sex))
serial <- gls(distance ~ age * Sex, Orthodont, correlation = corAR1(form = ~ 1 | Subject),
              weights = varIdent(form = ~ 1 | Sex))
terms <- summary(strata)$tTable
answers$nlme <- list(
  strata = list(logLik = as.numeric(logLik(strata)), sd_subject = as.numeric(VarCorr(strata)["(Intercept)", "StdDev"]),
                sigma = strata$sigma, ratio = unname(coef(strata$modelStruct$varStruct, unconstrained = FALSE)),
                beta = as.list(terms[, "Value"]), se = as.list(terms[, "Std.Error"]), df = as.list(terms[, "DF"]),
                p = as.list(terms[, "p-value"])),
  serial = list(logLik = as.numeric(logLik(serial)), sigma = serial$sigma,
                phi = unname(coef(serial$modelStruct$corStruct, unconstrained = FALSE)),
                ratio = unname(coef(serial$modelStruct$varStruct, unconstrained = FALSE)),
                beta = as.list(coef(serial)), se = as.list(sqrt(diag(vcov(serial))))))

# ---- the family study
family <- read.csv(file.path(room, "family", "phenotypes.csv"))
family$sex <- factor(family$SEX, 1:2, c("male", "female"))
pedigree <- read.csv(file.path(room, "family", "pedigree.csv"))
pairs <- read.csv(file.path(room, "family", "kinship2.csv"))
A <- matrix(0, 398, 398, dimnames = list(1:398, 1:398))
A[cbind(pairs$id1, pairs$id2)] <- A[cbind(pairs$id2, pairs$id1)] <- pairs$A
seen <- family[!is.na(family$bmi), ]

if (have("lme4qtl")) {
  q <- lme4qtl::relmatLmer(bmi ~ age + sex + (1 | ID), family, relmat = list(ID = A))
  house <- lme4qtl::relmatLmer(bmi ~ age + sex + (1 | HHID) + (1 | ID), family, relmat = list(ID = A))
  answers$lme4qtl <- list(logLik = as.numeric(logLik(q)), sdcor = components(q), beta = as.list(fixef(q)),
                          h2 = lme4qtl::VarProp(q)$prop[1],
                          household = list(logLik = as.numeric(logLik(house)), sdcor = components(house)))
}

# Without one of each pair of identical twins, whose relationship matrix has no inverse.
if (have("MCMCglmm")) {
  suppressMessages(library(MCMCglmm))
  twins <- pedigree$ID[pedigree$MZTWIN > 0 & duplicated(pedigree$MZTWIN)]
  ped <- with(pedigree, data.frame(animal = ID, dam = ifelse(MO > 0, MO, NA), sire = ifelse(FA > 0, FA, NA)))
  apart <- transform(seen[!seen$ID %in% twins, ], animal = ID)
  priors <- list(
    expanded = list(R = list(V = 1, nu = 0.002), G = list(G1 = list(V = 1, nu = 1, alpha.mu = 0, alpha.V = 1000))),
    inverse_gamma = list(R = list(V = 1, nu = 0.002), G = list(G1 = list(V = 1, nu = 0.002))))
  for (name in names(priors)) {
    set.seed(1)
    g <- MCMCglmm(bmi ~ age + sex, random = ~ animal, pedigree = ped, data = apart, prior = priors[[name]],
                  nitt = 210000, burnin = 10000, thin = 100, verbose = FALSE)
    V <- cbind(g$VCV, h2 = g$VCV[, "animal"] / rowSums(g$VCV))
    V <- coda::mcmc(V)
    hpd <- coda::HPDinterval(V)
    answers$MCMCglmm[[name]] <- list(
      n = nrow(apart), left_out = twins, mean = as.list(colMeans(V)), sd = as.list(apply(V, 2, sd)),
      mode = as.list(MCMCglmm::posterior.mode(V)), hpd = split(hpd, rownames(hpd)),
      effective = as.list(coda::effectiveSize(V)), beta = as.list(colMeans(g$Sol[, 1:3])))
  }
  # A variance that REML estimates as zero.
  set.seed(1)
  d2 <- MCMCglmm(Yield ~ 1, random = ~ Batch, data = lme4::Dyestuff2, prior = priors$expanded, nitt = 210000,
                 burnin = 10000, thin = 100, verbose = FALSE)
  hpd <- coda::HPDinterval(d2$VCV)
  answers$MCMCglmm$Dyestuff2 <- list(
    mean = as.list(colMeans(d2$VCV)), mode = as.list(MCMCglmm::posterior.mode(d2$VCV)),
    median = as.list(apply(d2$VCV, 2, median)), hpd = split(hpd, rownames(hpd)),
    effective = as.list(coda::effectiveSize(d2$VCV)))
}

# y = X beta + Z* u with independent effects, Z* = Z A^(1/2): the same model (Ronnegard & Carlborg 2007).
if (have("hglm")) {
  half <- function(A) { e <- eigen(A, symmetric = TRUE); e$vectors %*% diag(sqrt(pmax(e$values, 0))) }
  Z <- half(A[as.character(seen$ID), as.character(seen$ID)])
  X <- model.matrix(~ age + sex, seen)
  for (conv in c(default = 1e-6, tight = 1e-14)) {
    h <- suppressMessages(hglm::hglm(X = X, y = seen$bmi, Z = Z, conv = conv, maxit = 500, calc.like = TRUE))
    answers$hglm[[if (conv > 1e-10) "default" else "tight"]] <- list(
      beta = as.list(setNames(h$fixef, colnames(X))), se = as.list(setNames(h$SeFe, colnames(X))), var_e = h$varFix,
      var_g = h$varRanef, h2 = unname(h$varRanef / (h$varRanef + h$varFix)), iterations = h$iter,
      REML = as.numeric(h$likelihood$pbvh))
  }
}

if (nzchar(Sys.which("gemma"))) {
  here <- setwd(tempdir())
  genotypes <- merge(seen["ID"], read.csv(file.path(room, "family", "genotypes.csv")), sort = FALSE)
  stopifnot(all(genotypes$ID == seen$ID))
  put <- function(x, file, sep = " ") {
    write.table(x, file, row.names = FALSE, col.names = FALSE, quote = FALSE, sep = sep)
  }
  put(A[as.character(seen$ID), as.character(seen$ID)], "K.txt")
  put(seen$bmi, "bmi.txt")
  put(model.matrix(~ age + sex, seen), "covariates.txt")
  put(rbind(c("snp7", "A", "C", genotypes$snp7)), "genotypes.txt", ", ")
  options <- "-g genotypes.txt -p bmi.txt -c covariates.txt -k K.txt -lmm 4 -o out"
  system2("gemma", options, stdout = FALSE, stderr = FALSE)
  log <- readLines("output/out.log.txt")
  said <- function(what) {
    line <- grep(what, log, value = TRUE, fixed = TRUE)
    as.numeric(strsplit(trimws(sub(".*=", "", line)), " +")[[1]])
  }
  snp <- read.delim("output/out.assoc.txt")
  answers$versions$GEMMA <- sub(".*= *([0-9.]+).*", "\\1", grep("GEMMA Version", log, value = TRUE))
  answers$gemma <- list(vg = said("## vg estimate"), ve = said("## ve estimate"), pve = said("## pve estimate"),
                        REML = said("REMLE log-likelihood"), beta = said("## beta estimate"),
                        snp7 = as.list(snp[1, c("beta", "se", "p_wald", "p_lrt", "p_score")]))
  setwd(here)
}

write(toJSON(answers, digits = 12, auto_unbox = TRUE, pretty = TRUE), file.path(room, "course_peers.json"))
