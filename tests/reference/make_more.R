# Writes more/<name>.json: what lme4 answers for every case of more_cases.json.
#
#   Rscript tests/reference/make_more.R [name ...]      (default: all)
#
# Needs lme4, nlme and jsonlite. Made with R 4.2.2, lme4 1.1-31, nlme 3.1-162.
#
# `gradient` is the largest derivative over the free parameters that is left at the optimum (optimum.R); `default` is
# what lmer's own stopping rule gives.
suppressMessages({library(lme4); library(jsonlite); library(splines)})

HEAD <- 30  # levels and effects kept of a term; twice as many rows

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))

data(Orthodont, Oats, Machines, ergoStool, package = "nlme")
frames <- list(
  sleepstudy = sleepstudy, Penicillin = Penicillin, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2, Pastes = Pastes,
  cake = cake, cbpp = cbpp, grouseticks = grouseticks, Arabidopsis = Arabidopsis,
  VerbAgg = VerbAgg, InstEval = InstEval,
  Orthodont = as.data.frame(Orthodont), Oats = as.data.frame(Oats), Machines = as.data.frame(Machines),
  ergoStool = as.data.frame(ergoStool),
  sire = data.frame(y = c(9, 12, 11, 6, 7, 14), env = factor(c(1, 2, 1, 1, 1, 2)),
                    sire = factor(c("a", "a", "b", "b", "c", "c"))))

source(file.path(room, "optimum.R"))

rows_of <- function(m, dat, groups) {
  used <- as.integer(match(rownames(model.frame(m)), rownames(dat)))
  columns <- intersect(all.vars(formula(m)[[3]]), names(dat))
  new <- dat[used[c(1, length(used) %/% 2, length(used))], columns, drop = FALSE]
  fixed <- all.vars(lme4::nobars(formula(m)[-2]))
  for (column in setdiff(intersect(columns, groups), fixed)) {
    new[[column]] <- if (is.numeric(new[[column]])) replace(new[[column]], 3, 999) else
      replace(as.character(new[[column]]), 3, "NEW")
  }
  for (column in columns) if (is.factor(new[[column]])) new[[column]] <- as.character(new[[column]])
  rownames(new) <- NULL
  new
}

random_effects <- function(m) {
  re <- ranef(m, condVar = TRUE)
  lapply(re, function(r) {
    v <- attr(r, "postVar")
    if (!is.list(v)) v <- list(v)
    some <- seq_len(min(nrow(r), HEAD))
    list(levels = I(rownames(r)[some]), terms = I(names(r)), values = unname(as.matrix(r))[some, , drop = FALSE],
         cond_var = lapply(unname(v), function(a) aperm(a, c(3, 1, 2))[some, , , drop = FALSE]))
  })
}

# Spherical effects, one vector a term, a level's effects side by side.
spherical <- function(m) {
  ends <- getME(m, "Gp"); u <- getME(m, "u")
  lapply(seq_len(length(ends) - 1), function(i) I(head(u[(ends[i] + 1):ends[i + 1]], HEAD)))
}

rowwise <- function(x) I(head(unname(x), 2 * HEAD))

text <- function(x) if (!is.null(x)) str2lang(x)

record <- function(case) {
  assign("dat", frames[[case$data]], envir = globalenv())
  options <- list(weights = text(case$weights), offset = text(case$offset), subset = text(case$subset),
                  contrasts = case$contrasts)
  args <- c(list(formula = as.formula(case$formula, env = globalenv()), data = quote(dat), REML = case$REML),
            Filter(Negate(is.null), options))
  call <- as.call(c(quote(lmer), args))
  said <- character()
  default <- suppressWarnings(withCallingHandlers(eval(call, globalenv()),
    message = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleMessage") }))
  found <- tightened(call, getME(default, "theta"))
  m <- found$model; opt <- found$optimum
  cat(sprintf("%-32s %.9f  gradient %.1e  default above by %.1e  starts %s%s\n", case$name, opt$fval, opt$gradient,
              -2 * c(logLik(default)) + 2 * c(logLik(m)), paste(sprintf("%.1e", opt$values - opt$fval), collapse = " "),
              if (isSingular(m)) "  singular" else ""))
  beta <- fixef(m)
  new <- rows_of(m, dat, unique(unlist(strsplit(names(ngrps(m)), ":"))))
  offset_in_call <- !is.null(case$offset)
  again <- if (!offset_in_call) tryCatch(predict(m, newdata = new, allow.new.levels = TRUE), error = function(e) NULL)
  # lme4 evaluates poly() and scale() left of a bar afresh on new data: keep predictions only where they give back the fit
  faithful <- !is.null(again) && isTRUE(all.equal(unname(again[1:2]), unname(fitted(m)[c(1, nobs(m) %/% 2)]), 1e-8))
  theta <- getME(m, "theta")
  c(case, list(
    versions = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))),
    nobs = nobs(m), ngrps = as.list(ngrps(m)), df = attr(logLik(m), "df"), df_resid = df.residual(m),
    criterion = opt$fval, gradient = opt$gradient,
    theta = list(names = I(names(theta)), values = I(unname(theta))),
    beta = list(names = I(names(beta)), values = I(unname(beta))), se = I(unname(sqrt(diag(as.matrix(vcov(m)))))),
    vcov = unname(as.matrix(vcov(m))), sigma = sigma(m), logLik = c(logLik(m)), AIC = AIC(m), BIC = BIC(m),
    deviance_ML = -2 * c(logLik(m, REML = FALSE)), singular = isSingular(m),
    dropped = I(as.character(names(attr(getME(m, "X"), "col.dropped")))),
    varcorr = lapply(as.list(as.data.frame(VarCorr(m))), I),
    ranef = random_effects(m), u = spherical(m),
    fitted = rowwise(fitted(m)), resid = rowwise(resid(m)), resid_pearson = rowwise(resid(m, type = "pearson")),
    resid_scaled = rowwise(resid(m, scaled = TRUE)), predict_fixed = rowwise(predict(m, re.form = NA)),
    newdata = if (faithful) lapply(as.list(new), I),
    predict_new_all = if (faithful) I(unname(again)),
    predict_new_fixed = if (faithful) I(unname(predict(m, newdata = new, re.form = NA))),
    default = list(criterion = if (case$REML) REMLcrit(default) else -2 * c(logLik(default)), messages = I(said))))
}

cases <- read_json(file.path(room, "more_cases.json"))
wanted <- commandArgs(TRUE)
for (case in cases) {
  if (length(wanted) && !case$name %in% wanted) next
  numbers <- Filter(Negate(is.null), record(case))
  lines <- vapply(names(numbers), function(field) paste0("\"", field, "\": ",
    toJSON(numbers[[field]], digits = I(17), auto_unbox = TRUE, na = "null", null = "null")), "")
  writeLines(c("{", paste0(lines, c(rep(",", length(lines) - 1), "")), "}"),
             file.path(room, "more", paste0(case$name, ".json")))
}
