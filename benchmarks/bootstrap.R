# lme4's bootMer on one of the models of bootstrap.py, timed.
# Rscript bootstrap.R DATA.csv MODEL N SEED: prints one JSON object.
suppressMessages({
  library(jsonlite)
  library(lme4)
})

given <- commandArgs(trailingOnly = TRUE)
frame <- read.csv(given[1], stringsAsFactors = TRUE)
fit <- switch(given[2],
  sleepstudy = lmer(reaction ~ days + (days | subject), frame, REML = FALSE),
  cbpp = glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), frame, binomial)
)
parameters <- function(fit) {
  v <- as.data.frame(VarCorr(fit))
  c(v$sdcor, fixef(fit))
}

start <- proc.time()
drawn <- suppressWarnings(suppressMessages(
  bootMer(fit, parameters, nsim = as.integer(given[3]), seed = as.integer(given[4]),
          use.u = FALSE, type = "parametric")
))
spent <- proc.time() - start
cat(toJSON(list(
  version = as.character(packageVersion("lme4")),
  cpu_s = sum(spent[1:2]), estimate = unname(drawn$t0), replicates = drawn$t,
  failed = sum(is.na(drawn$t[, 1]))
), auto_unbox = TRUE, digits = NA))
