# Writes inference/more/<case>.json, and the simulated data of the cases to inference/more/data: tests of contrasts,
# tables, marginal means, selections, tidy frames, profiles, Kenward-Roger, and standard errors of predictions and of
# variance components. `inference_cases.more` reads them.
#
#   Rscript tests/reference/make_inference.R [case ...]      (default: all)
#
# Needs lme4, lmerTest, pbkrtest, emmeans, broom.mixed, glmmTMB, nlme, numDeriv and jsonlite. Made with R 4.2.2, lme4
# 1.1-31, lmerTest 3.1-3, pbkrtest 0.5-2, emmeans 1.8.4-1, broom.mixed 0.2.9.4, glmmTMB 1.1.5, nlme 3.1-162.
# The models are at a tightened optimum (optimum.R); refits that a package makes stop by the rule in `control`.
suppressMessages({
  library(lme4); library(jsonlite); library(lmerTest); library(emmeans); library(broom.mixed)
})
PACKAGES <- c("lme4", "lmerTest", "pbkrtest", "emmeans", "broom.mixed", "glmmTMB", "nlme")
DDF <- c(satt = "Satterthwaite", kr = "Kenward-Roger")
ddf_of <- function(m) if (isREML(m)) DDF else DDF["satt"]  # Kenward-Roger is of REML fits
emm_options(lmerTest.limit = 1e4, pbkrtest.limit = 1e4)
options(broom.mixed.sep1 = "__")

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))
folder <- file.path(room, "inference", "more")
source(file.path(room, "optimum.R"))
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE)

# ---- data

effects_of <- function(n, L) matrix(rnorm(n * nrow(L)), n) %*% t(L)

simulated <- list(
  # Two of the twelve cells of a and b are empty.
  emptycells = function() {
    set.seed(41)
    cells <- subset(expand.grid(a = letters[1:3], b = LETTERS[1:4]), !(paste0(a, b) %in% c("aD", "cB")))
    d <- cells[sample(nrow(cells), 120, TRUE, prob = seq(1, 2, length.out = nrow(cells))), ]
    d$g <- sample(12, 120, TRUE); d$x <- rnorm(120)
    d$y <- 3 + as.integer(d$a) - .5 * as.integer(d$b) + .4 * d$x + rnorm(12)[d$g] + rnorm(120)
    transform(d, g = factor(sprintf("g%02d", g)))
  },
  # Unbalanced, with a covariate whose slope differs by a.
  covariate = function() {
    set.seed(42)
    n <- 160
    d <- data.frame(a = sample(c("low", "mid", "top"), n, TRUE, prob = c(.5, .3, .2)), b = sample(c("no", "yes"), n,
      TRUE,
                    prob = c(.7, .3)), g = sample(16, n, TRUE), h = sample(9, n, TRUE), x = rnorm(n, 1))
    b <- effects_of(16, rbind(c(1, 0), c(.3, .5)))
    slope <- c(low = .2, mid = .8, top = -.3)[d$a]
    d$y <- 5 + (d$a == "top") + slope * d$x + .5 * (d$b == "yes") + b[d$g, 1] + b[d$g,
      2] * d$x + .2 * rnorm(9)[d$h] + rnorm(n)
    transform(d, a = factor(a), b = factor(b), g = factor(sprintf("g%02d", g)), h = factor(sprintf("h%d", h)))
  },
  # Crossed, with slopes in both factors, and weights.
  crossed = function() {
    set.seed(45)
    n <- 300
    d <- data.frame(s = c(1:15, sample(15, n - 15, TRUE)), i = c(sample(12, n - 12, TRUE), 1:12), x = rnorm(n),
                    f = sample(c("p", "q", "r"), n, TRUE), w = round(runif(n, .3, 3), 2))
    bs <- effects_of(15, rbind(c(.9, 0), c(.2, .5))); bi <- effects_of(12, rbind(c(.6, 0), c(-.2, .4)))
    d$y <- 2 + .5 * d$x + .4 * (d$f == "q") + bs[d$s, 1] + bi[d$i, 1] + (bs[d$s, 2] + bi[d$i,
      2]) * d$x + rnorm(n) / sqrt(d$w)
    transform(d, s = factor(sprintf("s%02d", s)), i = factor(sprintf("i%02d", i)), f = factor(f))
  },
  # Intercept and slope are proportional but for the noise: the correlation is estimated as 1.
  perfect = function() {
    set.seed(6)
    d <- expand.grid(t = 0:3, g = 1:8)
    b <- rnorm(8)
    d$y <- 10 + d$t + b[d$g] * (1 + .5 * d$t) + rnorm(32)
    transform(d, g = factor(g))
  },
  # Three correlated effects.
  threeeffects = function() {
    set.seed(46)
    d <- data.frame(g = rep(1:30, each = 10), x = rnorm(300), z = rnorm(300))
    b <- effects_of(30, rbind(c(1, 0, 0), c(.3, .7, 0), c(-.2, .2, .6)))
    d$y <- 1 + d$x + b[d$g, 1] + b[d$g, 2] * d$x + b[d$g, 3] * d$z + rnorm(300)
    transform(d, g = factor(sprintf("g%02d", g)))
  })

rounded <- function(d) as.data.frame(lapply(d, function(v) if (is.numeric(v)) round(v, 6) else droplevels(factor(v))))

data(Orthodont, Oats, Machines, package = "nlme")
frames <- c(lapply(simulated, function(make) rounded(make())), list(
  Oatsf = data.frame(yield = Oats$yield, N = factor(Oats$nitro), Variety = factor(Oats$Variety),
    Block = factor(as.character(Oats$Block))),
  sleepstudy = sleepstudy, Penicillin = Penicillin, Dyestuff2 = Dyestuff2, Pastes = Pastes, cake = cake,
  Orthodont = as.data.frame(Orthodont), Machines = as.data.frame(Machines)))

store_data <- function(name) {
  d <- frames[[name]]
  write.csv(as.data.frame(lapply(d, function(v) if (is.numeric(v)) v else as.character(v))),
            file.path(folder, "data", paste0(name, ".csv")), row.names = FALSE, quote = FALSE)
  factors <- Filter(is.factor, d)
  write_json(lapply(factors, function(v) list(levels = I(levels(v)), ordered = unbox(FALSE))),
             file.path(folder, "data", paste0(name, ".levels.json")))
}

# ---- how things are stored

table_of <- function(x) {
  d <- as.data.frame(x, stringsAsFactors = FALSE)
  c(list(`_rownames` = I(rownames(d))), lapply(as.list(d),
    function(v) I(if (is.numeric(v)) unname(v) else as.character(v))))
}

matrix_of <- function(m) {
  m <- as.matrix(m)
  list(rownames = if (!is.null(rownames(m))) I(rownames(m)), colnames = if (!is.null(colnames(m))) I(colnames(m)),
    values = unname(m))
}

attempt <- function(expr) {
  said <- character()
  value <- tryCatch(withCallingHandlers(expr,
    warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
    message = function(w) { said <<- c(said, trimws(conditionMessage(w))); invokeRestart("muffleMessage") }),
    error = function(e) list(error = trimws(conditionMessage(e))))
  if (length(said) && is.list(value) && is.null(value$error)) value$said <- I(unique(said))
  value
}

# ---- what is asked; each takes the lmerTest model and the case

contrasts_of <- function(p) {
  set.seed(100 + p)
  L <- list(all = diag(p), slopes = diag(p)[-1, , drop = FALSE], single = matrix(round(rnorm(p), 2), 1))
  if (p >= 3) L$two <- matrix(round(rnorm(2 * p), 2), 2)
  # The third row is the sum of the others: rank two.
  if (p >= 3) L$dependent <- rbind(L$two, colSums(L$two))
  L
}

ask_contest <- function(m, case) unlist(recursive = FALSE, use.names = FALSE, lapply(contrasts_of(length(fixef(m))),
  function(L)
  lapply(unname(ddf_of(m)), function(ddf) list(L = L, ddf = ddf, joint = attempt(table_of(contest(m, L, joint = TRUE,
    ddf = ddf))),
    rows = attempt(table_of(contest(m, L, joint = FALSE, ddf = ddf))),
    rhs = I(seq_len(nrow(L)) / 10),
    joint_rhs = if (qr(L)$rank == nrow(L))
      attempt(table_of(contest(m, L, rhs = seq_len(nrow(L)) / 10, joint = TRUE, ddf = ddf)))))))

ask_anova <- function(m, case) {
  found <- list()
  for (ddf in names(ddf_of(m))) for (type in c("I", "II", "III"))
    found[[paste(ddf, type, sep = "_")]] <- attempt(table_of(anova(m, type = type, ddf = DDF[[ddf]])))
  found
}

ask_summary <- function(m, case) lapply(ddf_of(m), function(ddf) attempt(matrix_of(coef(summary(m, ddf = ddf)))))

ask_drop1 <- function(m, case) c(
  list(chisq = attempt(table_of(drop1(as(m, "lmerMod"), test = "Chisq")))),
  lapply(ddf_of(m), function(ddf) attempt(table_of(drop1(m, ddf = ddf)))))

ask_ranova <- function(m, case) list(reduced = attempt(table_of(lmerTest::ranova(m))),
                                     removed = attempt(table_of(lmerTest::ranova(m, reduce.terms = FALSE))))

ask_step <- function(m, case) lapply(ddf_of(m), function(ddf) attempt({
  s <- lmerTest::step(m, ddf = ddf)
  list(random = table_of(s$random), fixed = table_of(s$fixed), model = paste(deparse(formula(get_model(s)), 500),
    collapse = ""))
}))

ask_emmeans <- function(m, case) unlist(recursive = FALSE, use.names = FALSE, lapply(case$emmeans, function(wanted)
  lapply(unname(ddf_of(m)), function(ddf) {
    emm <- suppressMessages(emmeans(m, as.formula(wanted$specs), at = wanted$at, lmer.df = tolower(ddf),
                                    weights = if (is.null(wanted$weights)) "equal" else wanted$weights))
    list(specs = wanted$specs, at = wanted$at, weights = wanted$weights, ddf = ddf,
         means = attempt(table_of(summary(emm, infer = c(TRUE, TRUE)))),
         contrasts = lapply(wanted$contrasts, function(word) {
           word <- strsplit(word, " ")[[1]]
           made <- contrast(emm, word[1], adjust = if (length(word) > 1) word[2])
           c(list(method = word[1], adjust = if (length(word) > 1) word[2]),
             attempt(list(table = table_of(summary(made, infer = c(TRUE, TRUE))))))
         }))
  })))

ask_broom <- function(m, case) {
  frames_of <- function(m) list(
    fixed = attempt(table_of(tidy(m, effects = "fixed", conf.int = TRUE))),
    ran_pars = attempt(table_of(tidy(m, effects = "ran_pars"))),
    ran_pars_vcov = attempt(table_of(tidy(m, effects = "ran_pars", scales = "vcov"))),
    ran_vals = attempt(table_of(tidy(m, effects = "ran_vals", conf.int = TRUE))),
    ran_coefs = attempt(table_of(tidy(m, effects = "ran_coefs"))),
    default = attempt(table_of(tidy(m))),
    glance = attempt(table_of(glance(m))), augment = attempt(table_of(augment(m))))
  list(lme4 = frames_of(as(m, "lmerMod")), lmerTest = lapply(c(fixed = "fixed", glance = "glance"), function(what)
    if (what == "fixed") attempt(table_of(tidy(m, effects = "fixed",
      conf.int = TRUE))) else attempt(table_of(glance(m)))),
    lmerTest_kr = if (isREML(m)) attempt(table_of(tidy(m, effects = "fixed", conf.int = TRUE,
      ddf.method = "Kenward-Roger"))))
}

ask_profile <- function(m, case) attempt({
  # profile() wants to know the optimizer, which only lmer's own fit tells
  again <- update(as(m, "lmerMod"), start = unname(getME(m, "theta")))
  p <- profile(again, signames = FALSE)
  found <- list(confint = matrix_of(confint(p)), confint90 = matrix_of(confint(p, level = .9)))
  if (isTRUE(case$zeta)) found$zeta <- table_of(p)
  found
})

# The same intervals by brute force, for fits on the boundary, where profile() gives up: the ML deviance in standard
# deviations, correlations and sigma (terms of one or two effects), one held, the others minimised from several starts.
ask_direct <- function(m, case) {
  devfun <- update(as(m, "lmerMod"), REML = FALSE, devFunOnly = TRUE)
  e <- environment(devfun); n <- nobs(m); dims <- lengths(getME(m, "cnms"))
  kinds <- c(unlist(lapply(dims, function(k) if (k == 1) "sd" else c("sd", "cor", "sd"))), "sd")
  deviance <- function(psi) {
    s <- psi[length(psi)]; at <- 0; theta <- numeric()
    for (k in dims) {
      theta <- c(theta, if (k == 1) psi[at + 1] / s else c(psi[at + 1], psi[at + 2] * psi[at + 3],
        sqrt(max(1 - psi[at + 2]^2, 0)) * psi[at + 3]) / s)
      at <- at + length(if (k == 1) 1 else 1:3)
    }
    devfun(theta)
    n * log(2 * pi * s^2) + e$pp$ldL2() + (e$resp$wrss() + e$pp$sqrL(1)) / s^2
  }
  scale <- sd(getME(m, "y"))
  lower <- ifelse(kinds == "cor", -1, 0); lower[length(lower)] <- 1e-3 * scale
  upper <- ifelse(kinds == "cor", 1, Inf)
  low <- function(held, value) {
    free <- setdiff(seq_along(kinds), held)
    full <- function(x) { psi <- numeric(length(kinds)); psi[held] <- value; psi[free] <- x; psi }
    starts <- expand.grid(lapply(free, function(i) if (kinds[i] == "cor") c(-.7, 0, .9) else c(.3, .9) * scale))
    best <- Inf
    for (i in seq_len(nrow(starts))) {
      found <- nlminb(unlist(starts[i, ]), function(x) deviance(full(x)), lower = lower[free], upper = upper[free],
                      control = list(rel.tol = 1e-13, x.tol = 1e-12, eval.max = 2000, iter.max = 2000))
      if (found$objective < best) { best <- found$objective; at <- found$par }
    }
    list(value = best, psi = full(at))
  }
  top <- low(integer(), numeric())
  ends <- vapply(seq_along(kinds), function(j) {
    over <- function(v) low(j, v)$value - top$value - qchisq(.95, 1)
    x <- top$psi[j]; edge <- c(lower[j], upper[j])
    side <- function(edge) {
      if (abs(x - edge) < 1e-6) return(edge)  # the estimate is on this edge
      if (is.infinite(edge)) { edge <- x + scale; while (over(edge) < 0) edge <- edge + scale }
      if (over(edge) < 0) edge else uniroot(over, sort(c(x, edge)), tol = 1e-9 * scale)$root
    }
    c(side(edge[1]), side(edge[2]))
  }, numeric(2))
  list(deviance = top$value, kinds = I(unname(kinds)), estimates = I(top$psi), confint = t(ends))
}

hypothesis <- function(m, L) {
  k <- pbkrtest::KRmodcomp(as(m, "lmerMod"), L)
  list(L = L, test = table_of(k$test), aux = as.list(k$aux))
}

ask_kr <- function(m, case) attempt({
  m <- as(m, "lmerMod")
  adjusted <- pbkrtest::vcovAdj(m)
  list(vcov = matrix_of(vcov(m)), vcovAdj = matrix_of(adjusted), P = lapply(attr(adjusted, "P"),
    function(a) unname(as.matrix(a))),
       W = unname(as.matrix(attr(adjusted, "W"))),
       ddf = I(vapply(seq_along(fixef(m)), function(i) pbkrtest::Lb_ddf(diag(length(fixef(m)))[i, ], vcov(m), adjusted),
         0)),
       tests = lapply(unname(contrasts_of(length(fixef(m)))[if (length(fixef(m)) > 2) c("all", "slopes", "single",
         "two") else c("slopes", "single")]),
                      function(L) hypothesis(m, L)))
})

# Henderson's equations in the spherical effects, so that zero variances do no harm: the covariance of (b - u, beta).
henderson <- function(m) {
  X <- as.matrix(getME(m, "X")); A <- as.matrix(t(getME(m, "Lambdat")))
  ZA <- as.matrix(getME(m, "Z")) %*% A; w <- weights(m)
  H <- rbind(cbind(crossprod(X, w * X), crossprod(X, w * ZA)), cbind(crossprod(ZA, w * X), crossprod(ZA,
    w * ZA) + diag(ncol(ZA))))
  T <- rbind(cbind(diag(ncol(X)), matrix(0, ncol(X), nrow(A))), cbind(matrix(0, nrow(A), ncol(X)), A))
  sigma(m)^2 * T %*% solve(H, t(T))
}

# Of x'beta + z'b over all terms, over each grouping factor alone, and over none; an unseen level has its effects'
# variance.
ask_prediction <- function(m, case) {
  m <- as(m, "lmerMod"); C <- henderson(m); p <- length(fixef(m))
  new <- as.data.frame(case$newdata)
  X <- model.matrix(delete.response(terms(m)), new, contrasts.arg = attr(getME(m, "X"), "contrasts"))
  parts <- list(); flist <- getME(m, "flist"); cnms <- getME(m, "cnms"); gp <- getME(m, "Gp"); V <- VarCorr(m)
  for (t in seq_along(cnms)) {
    group <- names(cnms)[t]; k <- length(cnms[[t]])
    columns <- vapply(cnms[[t]], function(n) if (n == "(Intercept)") rep(1, nrow(new)) else new[[n]],
      numeric(nrow(new)))
    columns <- matrix(columns, nrow(new))
    Z <- matrix(0, nrow(new), ncol(C) - p); extra <- numeric(nrow(new))
    for (i in seq_len(nrow(new))) {
      at <- match(as.character(new[[group]][i]), levels(flist[[attr(flist, "assign")[t]]]))
      if (is.na(at)) extra[i] <- columns[i, ] %*% as.matrix(V[[t]])[1:k, 1:k] %*% columns[i, ] else
        Z[i, gp[t] + (at - 1) * k + 1:k] <- columns[i, ]
    }
    parts[[names(V)[t]]] <- list(Z = Z, extra = extra)
  }
  answer <- function(which) {
    Z <- Reduce(`+`, lapply(parts[which], `[[`, "Z"), matrix(0, nrow(new), ncol(C) - p))
    extra <- Reduce(`+`, lapply(parts[which], `[[`, "extra"), 0)
    K <- cbind(X, Z)
    b <- as.matrix(t(getME(m, "Lambdat"))) %*% getME(m, "u")
    list(terms = I(which), fit = I(drop(unname(X %*% fixef(m) + Z %*% b))),
      se = I(unname(sqrt(rowSums((K %*% C) * K) + extra))))
  }
  stopifnot(all.equal(c(C[1:p, 1:p]), c(as.matrix(vcov(m))), tolerance = 1e-6))
  all <- answer(names(parts))
  stopifnot(all.equal(as.numeric(all$fit), unname(predict(m, new, allow.new.levels = TRUE)), tolerance = 1e-8))
  list(newdata = lapply(as.list(new), I), all = all, none = answer(character()), by_group = lapply(names(parts),
    answer),
       glmmTMB = if (is.null(case$weights)) attempt(list(free = by_glmmTMB(case, new, NULL),
         theta_held = by_glmmTMB(case, new, m))))
}

# glmmTMB's standard errors (to it weights mean something else): its own, in which theta is uncertain, and with theta
# held at lme4's optimum.
by_glmmTMB <- function(case, new, held) {
  args <- list(as.formula(case$formula, env = globalenv()), data = quote(dat), REML = case$REML)
  if (!is.null(held)) {
    structured <- unlist(lapply(VarCorr(held), function(v) {
      L <- t(chol(v / outer(sqrt(diag(v)), sqrt(diag(v)))))
      U <- L / diag(L)
      c(log(sqrt(diag(v))), U[lower.tri(U)])
    }))
    args$start <- list(theta = unname(structured), betad = 2 * log(sigma(held)))
    args$map <- list(theta = factor(rep(NA, length(structured))), betad = factor(NA))
  }
  m <- do.call(glmmTMB::glmmTMB, args)
  found <- predict(m, new, se.fit = TRUE, allow.new.levels = TRUE)
  list(fit = I(unname(found$fit)), se = I(unname(found$se.fit)))
}

# ---- standard errors of variance components, from the Hessian of -2 log-likelihood (or of the REML criterion)

ask_components <- function(m, case) {
  m <- as(m, "lmerMod"); n <- nobs(m); p <- length(fixef(m))
  devfun <- update(m, devFunOnly = TRUE)
  dims <- lengths(getME(m, "cnms"))
  # psi: for each term the lower triangle of the covariance matrix, then the residual variance.
  covariances <- unlist(lapply(VarCorr(m), function(v) v[lower.tri(v, TRUE)]))
  psi <- unname(c(covariances, sigma(m)^2))
  criterion <- function(psi) {
    s2 <- psi[length(psi)]; at <- 0; theta <- numeric()
    for (k in dims) {
      S <- matrix(0, k, k); S[lower.tri(S, TRUE)] <- psi[at + seq_len(k * (k + 1) / 2)]; at <- at + k * (k + 1) / 2
      S[upper.tri(S)] <- t(S)[upper.tri(S)]
      L <- t(chol(S)) / sqrt(s2); theta <- c(theta, L[lower.tri(L, TRUE)])
    }
    devfun(theta)
    e <- environment(devfun); pwrss <- e$resp$wrss() + e$pp$sqrL(1); ld <- e$pp$ldL2()
    if (case$REML) (n - p) * log(2 * pi * s2) + ld + e$pp$ldRX2() + pwrss / s2 - sum(log(e$resp$weights)) else
      n * log(2 * pi * s2) + ld + pwrss / s2 - sum(log(e$resp$weights))
  }
  stopifnot(abs(criterion(psi) + 2 * c(logLik(m))) < 1e-6)
  scaled <- function(x) criterion(x * psi)
  hessian <- numDeriv::hessian(scaled, rep(1, length(psi)), method.args = list(eps = 1e-2, d = 1e-2, r = 6))
  covariance <- 2 * solve(hessian) * outer(psi, psi)
  # by the delta method: standard deviations and correlations
  sdcor <- function(psi) {
    at <- 0; out <- numeric()
    for (k in dims) {
      S <- matrix(0, k, k); S[lower.tri(S, TRUE)] <- psi[at + seq_len(k * (k + 1) / 2)]; at <- at + k * (k + 1) / 2
      S[upper.tri(S)] <- t(S)[upper.tri(S)]; R <- cov2cor(S); diag(R) <- sqrt(diag(S)); out <- c(out, R[lower.tri(R,
        TRUE)])
    }
    c(out, sqrt(psi[length(psi)]))
  }
  J <- numDeriv::jacobian(sdcor, psi)
  named <- as.data.frame(VarCorr(m), order = "lower.tri")
  labels <- paste(named$grp, named$var1, named$var2, sep = "|")
  apvar <- list(names = I(labels), vcov = I(psi), vcov_covariance = covariance, vcov_se = I(sqrt(diag(covariance))),
                sdcor = I(sdcor(psi)), sdcor_covariance = J %*% covariance %*% t(J),
                  sdcor_se = I(sqrt(diag(J %*% covariance %*% t(J)))),
                lmerTest_vcov_theta_sigma = attempt(list(values = unname(as_lmerModLmerTest(m)@vcov_varpar))),
                glmmTMB = attempt(glmmTMB_components(case)),
                  nlme = if (!is.null(case$nlme)) attempt(nlme_components(case)))
}

glmmTMB_components <- function(case) {
  m <- glmmTMB::glmmTMB(as.formula(case$formula, env = globalenv()), data = dat, REML = case$REML,
                        control = glmmTMB::glmmTMBControl(optCtrl = list(rel.tol = 1e-14, x.tol = 1e-14, iter.max = 1e4,
                          eval.max = 1e4)))
  full <- vcov(m, full = TRUE)
  list(logLik = c(logLik(m)), theta = I(unname(glmmTMB::getME(m, "theta"))), vcov_full = matrix_of(full),
       confint = matrix_of(confint(m, parm = "theta_", estimate = TRUE)), sigma = sigma(m),
       confint_sigma = attempt(list(values = unname(confint(m, parm = "sigma")))))
}

nlme_components <- function(case) {
  m <- nlme::lme(as.formula(case$nlme$fixed), data = dat, random = as.formula(case$nlme$random),
    method = if (case$REML) "REML" else "ML",
                 control = nlme::lmeControl(tolerance = 1e-12, msTol = 1e-12, niterEM = 100))
  found <- nlme::intervals(m, which = "var-cov")
  list(logLik = c(logLik(m)), random = lapply(found$reStruct, table_of), sigma = I(unname(c(found$sigma))))
}

# ---- the cases

PAIRS <- c("pairwise", "pairwise holm", "pairwise none", "pairwise bonferroni")
crossed <- "y ~ x + f + (x | s) + (x | i)"
covariate <- "y ~ a * x + b + (x | g)"
cases <- list(
  oats = list(data = "Oatsf", formula = "yield ~ N * Variety + (1 | Block/Variety)",
    ask = c("summary", "contest", "anova", "drop1", "ranova", "emmeans", "kr"), emmeans = list(
      list(specs = "~ Variety", contrasts = c(PAIRS, "eff", "eff none", "trt.vs.ctrl", "trt.vs.ctrl none",
        "trt.vs.ctrl holm")),
      list(specs = "~ N", contrasts = c("pairwise", "poly", "trt.vs.ctrl none")),
      list(specs = "~ N | Variety", contrasts = c("pairwise", "pairwise holm", "poly")),
      list(specs = "~ N * Variety", contrasts = c("pairwise", "eff none")))),
  oats_additive = list(data = "Oatsf", formula = "yield ~ N + Variety + (1 | Block/Variety)", ask = c("contest",
    "anova", "drop1", "step", "emmeans"),
    emmeans = list(list(specs = "~ Variety", contrasts = PAIRS), list(specs = "~ N * Variety",
      contrasts = "pairwise holm"))),
  machines = list(data = "Machines", formula = "score ~ Machine + (1 | Worker/Machine)",
    ask = c("contest", "anova", "emmeans", "kr", "components"), nlme = list(fixed = "score ~ Machine",
      random = "~ 1 | Worker/Machine"),
    emmeans = list(list(specs = "~ Machine", contrasts = c(PAIRS, "trt.vs.ctrl")))),
  machines_slopes = list(data = "Machines", formula = "score ~ Machine + (Machine | Worker)", ask = c("contest",
    "anova", "ranova", "kr", "emmeans", "components"),
    emmeans = list(list(specs = "~ Machine", contrasts = "pairwise"))),
  cake = list(data = "cake", formula = "angle ~ recipe * temp + (1 | recipe:replicate)", ask = c("contest", "anova",
    "drop1", "emmeans", "broom", "kr"),
    emmeans = list(list(specs = "~ recipe", contrasts = PAIRS), list(specs = "~ recipe", at = list(temp = 180),
      contrasts = "pairwise"),
                   list(specs = "~ recipe | temp", at = list(temp = c(175, 225)), contrasts = c("pairwise",
                     "eff none")))),
  cake_factors = list(data = "cake",
    formula = "angle ~ recipe + temperature + (1 | replicate) + (1 | recipe:replicate)",
    ask = c("contest", "anova", "drop1", "ranova", "emmeans"), emmeans = list(list(specs = "~ recipe",
      contrasts = PAIRS), list(specs = "~ temperature", contrasts = "poly"))),
  empty_cells = list(data = "emptycells", formula = "y ~ a * b + x + (1 | g)", ask = c("summary", "anova", "contest",
    "drop1", "emmeans"),
    emmeans = list(list(specs = "~ a * b", contrasts = "pairwise none"), list(specs = "~ a", contrasts = "pairwise"))),
  empty_cells_sum = list(data = "emptycells", formula = "y ~ a * b + x + (1 | g)", contrasts = list(a = "contr.sum",
    b = "contr.helmert"), ask = c("anova", "contest")),
  empty_cells_additive = list(data = "emptycells", formula = "y ~ a + b + x + (1 | g)", ask = c("anova", "emmeans"),
    emmeans = list(list(specs = "~ a", contrasts = PAIRS), list(specs = "~ a", weights = "proportional",
      contrasts = "pairwise"))),
  covariate = list(data = "covariate", formula = "y ~ a * x + b + (x | g)", ask = c("summary", "anova", "contest",
    "drop1", "ranova", "emmeans", "kr", "components"),
    emmeans = list(list(specs = "~ a", contrasts = PAIRS), list(specs = "~ a", weights = "proportional",
      contrasts = PAIRS), list(specs = "~ a", weights = "outer"),
                   list(specs = "~ a | b", contrasts = "pairwise"), list(specs = "~ a | x", at = list(x = c(-1, 2)),
                     contrasts = c("pairwise", "trt.vs.ctrl none")),
                   list(specs = "~ b", weights = "proportional", contrasts = "pairwise"), list(specs = "~ b",
                     weights = "cells"))),
  covariate_interaction = list(data = "covariate", formula = "y ~ a * b + x + (1 | g) + (1 | h)", ask = c("anova",
    "drop1", "emmeans", "step", "ranova"),
    emmeans = list(list(specs = "~ a", contrasts = PAIRS), list(specs = "~ a", weights = "proportional",
      contrasts = "pairwise"),
                   list(specs = "~ a", weights = "cells"), list(specs = "~ b | a", contrasts = "pairwise"))),
  covariate_sum = list(data = "covariate", formula = "y ~ a * x + a * b + (1 | g)", contrasts = list(a = "contr.sum",
    b = "contr.sum"), ask = c("summary", "anova", "contest")),
  covariate_helmert = list(data = "covariate", formula = "y ~ a * x + a * b + (1 | g)",
    contrasts = list(a = "contr.helmert", b = "contr.helmert"), ask = c("summary", "anova", "contest")),
  covariate_step = list(data = "covariate", formula = "y ~ a * b * x + (x | g) + (1 | h)", ask = c("anova", "step",
    "ranova")),
  covariate_ml = list(data = "covariate", formula = "y ~ a * x + b + (x | g)", REML = FALSE, ask = c("summary", "anova",
    "contest", "drop1", "ranova", "components", "broom")),
  orthodont = list(data = "Orthodont", formula = "distance ~ age * Sex + (age | Subject)", ask = c("summary", "anova",
    "ranova", "step", "drop1", "emmeans", "kr"),
    emmeans = list(list(specs = "~ Sex | age", at = list(age = c(8, 14)), contrasts = "pairwise"))),
  sleepstudy = list(data = "sleepstudy", formula = "Reaction ~ Days + (Days | Subject)", ask = c("contest", "broom",
    "prediction", "components", "ranova"),
    nlme = list(fixed = "Reaction ~ Days", random = "~ Days | Subject"),
    newdata = list(Days = c(0, 5, 12, 0, 7.5, -3), Subject = c("308", "335", "372", "NEW", "other", "309"))),
  sleepstudy_ml = list(data = "sleepstudy", formula = "Reaction ~ Days + (Days | Subject)", REML = FALSE,
    ask = c("broom", "prediction", "components"),
    nlme = list(fixed = "Reaction ~ Days", random = "~ Days | Subject"),
    newdata = list(Days = c(0, 5, 12, 0, 7.5, -3), Subject = c("308", "335", "372", "NEW", "other", "309"))),
  sleepstudy_uncorrelated = list(data = "sleepstudy", formula = "Reaction ~ Days + (Days || Subject)",
    ask = c("prediction", "broom", "kr"),
    newdata = list(Days = c(0, 5, 12, 0, 7.5, -3), Subject = c("308", "335", "372", "NEW", "other", "309"))),
  penicillin = list(data = "Penicillin", formula = "diameter ~ 1 + (1 | plate) + (1 | sample)", ask = c("broom",
    "prediction", "components", "profile"),
    newdata = list(plate = c("a", "a", "zz", "zz", "k"), sample = c("A", "new", "B", "new", "F"))),
  penicillin_ml = list(data = "Penicillin", formula = "diameter ~ 1 + (1 | plate) + (1 | sample)", REML = FALSE,
    ask = c("components", "profile", "direct")),
  pastes = list(data = "Pastes", formula = "strength ~ 1 + (1 | batch/cask)", ask = c("profile", "components"),
    nlme = list(fixed = "strength ~ 1", random = "~ 1 | batch/cask")),
  pastes_cask = list(data = "Pastes", formula = "strength ~ cask + (1 | batch/cask)", ask = c("kr", "contest",
    "profile")),
  dyestuff2 = list(data = "Dyestuff2", formula = "Yield ~ 1 + (1 | Batch)", zeta = TRUE, ask = c("profile", "direct",
    "summary", "broom", "ranova")),
  perfect_correlation = list(data = "perfect", formula = "y ~ t + (t | g)", zeta = TRUE, ask = c("profile", "direct",
    "summary", "anova", "ranova", "broom")),
  three_effects = list(data = "threeeffects", formula = "y ~ x + z + (x + z | g)", ask = c("profile", "summary",
    "contest", "ranova", "components", "kr")),
  crossed = list(data = "crossed", formula = crossed, ask = c("kr", "summary", "contest", "ranova", "profile",
    "components", "prediction"),
    newdata = list(x = c(0, 1, -1, 2, .5), f = c("p", "q", "r", "p", "q"), s = c("s01", "s05", "zz", "s09", "zz"),
      i = c("i01", "zz", "i03", "i12", "zz"))),
  crossed_weights = list(data = "crossed", formula = crossed, weights = "w", ask = c("kr", "summary", "contest",
    "prediction"),
    newdata = list(x = c(0, 1, -1, 2, .5), f = c("p", "q", "r", "p", "q"), s = c("s01", "s05", "zz", "s09", "zz"),
      i = c("i01", "zz", "i03", "i12", "zz"))),
  # crossed_weights again, every column multiplied by the root of the weight: no package has to know of weights here
  crossed_weights_by_hand = list(data = "crossed_by_hand",
    formula = "yw ~ 0 + one + xw + fq + fr + (0 + one + xw | s) + (0 + one + xw | i)", ask = c("kr", "summary",
    "contest")))

frames$crossed_by_hand <- with(frames$crossed, {
  r <- sqrt(w)
  data.frame(yw = r * y, one = r, xw = r * x, fq = r * (f == "q"), fr = r * (f == "r"), s = s, i = i)
})

record <- function(name) {
  case <- cases[[name]]
  if (is.null(case$REML)) case$REML <- TRUE
  assign("dat", frames[[case$data]], envir = globalenv())
  args <- c(list(formula = as.formula(case$formula, env = globalenv()), data = quote(dat), REML = case$REML,
    control = quote(control)),
            Filter(Negate(is.null), list(weights = if (!is.null(case$weights)) str2lang(case$weights),
              contrasts = case$contrasts)))
  call <- as.call(c(quote(lme4::lmer), args))
  default <- quietly(eval(call, globalenv()))
  found <- tightened(call, getME(default, "theta"))
  m <- suppressMessages(as_lmerModLmerTest(found$model))
  cat(sprintf("%-26s criterion %.6f gradient %.1e%s\n", name, found$optimum$fval, found$optimum$gradient,
    if (isSingular(m)) " singular" else ""))
  answers <- list()
  for (what in case$ask) {
    begin <- Sys.time()
    answers[[what]] <- suppressWarnings(suppressMessages(get(paste0("ask_", what))(m, case)))
    cat(sprintf("    %-12s %.1f s\n", what, as.numeric(difftime(Sys.time(), begin, units = "secs"))))
  }
  theta <- getME(m, "theta")
  c(list(name = name, data = case$data, formula = case$formula, REML = case$REML, weights = case$weights,
    contrasts = case$contrasts,
         versions = c(list(R = R.version.string), lapply(setNames(nm = PACKAGES),
           function(p) as.character(packageVersion(p)))),
         criterion = found$optimum$fval, gradient = found$optimum$gradient, singular = isSingular(m),
         theta = list(names = I(names(theta)), values = I(unname(theta))), sigma = sigma(m),
         beta = list(names = I(names(fixef(m))), values = I(unname(fixef(m)))),
           dropped = I(as.character(names(attr(getME(m, "X"), "col.dropped"))))),
    answers)
}

for (name in c(names(simulated), "Oatsf", "crossed_by_hand")) store_data(name)
wanted <- commandArgs(TRUE)
for (name in names(cases)) {
  if (length(wanted) && !name %in% wanted) next
  numbers <- Filter(Negate(is.null), record(name))
  lines <- vapply(names(numbers), function(field) paste0("\"", field, "\": ",
    toJSON(numbers[[field]], digits = I(17), auto_unbox = TRUE, na = "null", null = "null")), "")
  writeLines(c("{", paste0(lines, c(rep(",", length(lines) - 1), "")), "}"), file.path(folder, paste0(name, ".json")))
}
