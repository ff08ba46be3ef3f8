# Kenward and Roger's degrees of freedom of a random slope by pbkrtest, as one JSON object.
#
#   Rscript kenward_roger.R DATA.csv 'y ~ x + (x | g)'

suppressMessages({
  library(lmerTest)
  library(jsonlite)
})
given <- commandArgs(trailingOnly = TRUE)
frame <- read.csv(given[1])
formula <- as.formula(given[2])
for (name in intersect(c("g", "h"), names(frame))) frame[[name]] <- factor(frame[[name]])
cpu <- function(expression) {
  start <- proc.time()
  value <- expression
  list(value = value, s = sum((proc.time() - start)[1:2]))
}
few <- frame[as.integer(frame$g) <= 20, ] # what happens once only
warm_up <- summary(suppressMessages(lmer(formula, few)), ddf = "Kenward-Roger")
fit <- cpu(lmer(formula, frame))
satterthwaite <- cpu(summary(fit$value, ddf = "Satterthwaite")$coefficients)
kenward_roger <- cpu(summary(fit$value, ddf = "Kenward-Roger")$coefficients)
peak <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
cat(toJSON(list(
  fit_s = fit$s,
  satterthwaite_s = satterthwaite$s, satterthwaite_df = satterthwaite$value["x", "df"],
  kenward_roger_s = kenward_roger$s, kenward_roger_df = kenward_roger$value["x", "df"],
  peak_mb = as.numeric(gsub("[^0-9]", "", peak)) / 1024
), auto_unbox = TRUE, digits = 10))
