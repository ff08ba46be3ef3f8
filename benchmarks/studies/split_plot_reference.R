# Type III tests of the split plots of split_plot_reference.py by lmerTest and pbkrtest.
#
#   Rscript split_plot_reference.R IN.csv OUT.csv '~ whole * sub + (1 | block / plot)'
#
# IN has the columns block, plot, whole, sub and responses y1, y2, ...; OUT one row a response,
# term and method.

suppressMessages(library(lmerTest))
options(contrasts = c("contr.sum", "contr.poly"))
paths <- commandArgs(trailingOnly = TRUE)
frame <- read.csv(paths[1], colClasses = c(sub = "character"), stringsAsFactors = TRUE)
frame$sub <- factor(frame$sub)
tight <- lmerControl(
  optimizer = "bobyqa", calc.derivs = FALSE, optCtrl = list(rhoend = 1e-11),
  check.conv.singular = "ignore"
)
rows <- list()
for (name in grep("^y[0-9]+$", names(frame), value = TRUE)) {
  formula <- as.formula(paste(name, paths[3]))
  fit <- suppressMessages(lmer(formula, frame, control = tight))
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    table <- anova(fit, type = 3, ddf = ddf)
    rows[[length(rows) + 1]] <- data.frame(
      response = name, term = rownames(table), method = tolower(ddf),
      den_df = table$DenDF, p_value = table[["Pr(>F)"]],
      singular = isSingular(fit, tol = 1e-5)
    )
  }
}
write.csv(do.call(rbind, rows), paths[2], row.names = FALSE)
