# Makes boot_ci.json: intervals by R 4.2.2, boot 1.3-28.1 (boot.ci) on replicates that are stored beside them.
# Rscript make_boot_ci.R
library(boot)
x <- c(0.62, 1.31, 2.47, 0.18, 3.92, 1.05, 0.77, 5.40, 1.88, 0.29)
set.seed(4)
b <- boot(x, function(d, i) sd(d[i]), R = 199)
jack <- sapply(seq_along(x), function(i) sd(x[-i]))
ci <- function(conf) { r <- boot.ci(b, conf = conf, type = c("perc", "basic", "bca"), L = mean(jack) - jack)
  list(percentile = r$percent[4:5], basic = r$basic[4:5], bca = r$bca[4:5]) }
writeLines(jsonlite::toJSON(list(estimate = b$t0, replicates = b$t[, 1], jackknife = jack, ci95 = ci(0.95), ci80 = ci(0.80)), digits = NA, auto_unbox = TRUE), "boot_ci.json")
