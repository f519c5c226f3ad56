import * as z from 'zod';
import { readCertificates } from '../mailbox/pem.ts';
import { queueNamePattern } from '../settings/queueName.ts';
import { checkCron } from '../time/cron.ts';
import { type ConfigColumnName, configColumnNames, configColumns, keyPattern } from './columns.ts';
import { maxPatternsLength, parsePatterns } from './patterns.ts';
import { isTimeZone, isTokenEndpoint, toHost } from './syntax.ts';

// Imports zod and croner (100 ms to load): reach this module by a dynamic import.

const singleLine = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .regex(/^[^\r\n\u0000]*$/);
const settingName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z_][A-Za-z0-9_.:-]*$/);
const vaultSecretName = z.string().regex(/^[A-Za-z0-9-]{1,127}$/);
const patterns = z
  .string()
  .max(maxPatternsLength)
  .refine((text) => parsePatterns(text) !== undefined);

const shape = {
  enabled: z.boolean().default(true),
  host: z
    .string()
    .max(255)
    .refine((text) => toHost(text) !== undefined),
  port: z.int().min(1).max(65_535).optional(),
  hostType: z.enum(['IMAP', 'POP3']),
  useSsl: z.boolean().default(true),
  startTls: z.boolean().default(false),
  caCertificate: z
    .string()
    .refine((text) => readCertificates(text) !== undefined)
    .optional(),
  username: singleLine(1024),
  password: singleLine(8192).optional(),
  passwordSetting: settingName.optional(),
  passwordVaultSecret: vaultSecretName.optional(),
  sendAttachments: z.boolean().default(true),
  sendMessageBody: z.boolean().default(true),
  deleteMessages: z.boolean().default(false),
  moveToFolder: singleLine(1024).optional(),
  fromFilter: patterns.optional(),
  toFilter: patterns.optional(),
  subjectFilter: patterns.optional(),
  unmatchedMails: z.enum(['leave', 'markRead']).default('leave'),
  pollingIntervalSeconds: z.int().min(60).optional(),
  cron: z
    .string()
    .max(256)
    .refine((text) => checkCron(text) === undefined)
    .optional(),
  timeZone: z.string().refine(isTimeZone).default('UTC'),
  useProcessLock: z.boolean().default(false),
  folder: singleLine(1024).default('INBOX'),
  bodyFormat: z.enum(['text', 'html', 'eml']).default('text'),
  inlineAttachments: z.boolean().default(false),
  attachmentFilter: patterns.optional(),
  unpackWinmail: z.boolean().default(true),
  queueName: z.string().regex(queueNamePattern).optional(),
  sessions: z.enum(['none', 'connection', 'mail']).default('none'),
  authType: z.enum(['password', 'oauth2']).default('password'),
  oauth2Grant: z.enum(['clientCredentials', 'refreshToken', 'managedIdentity']).optional(),
  oauth2TenantId: z
    .string()
    .max(253)
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/)
    .optional(),
  oauth2TokenEndpoint: z.string().max(2048).refine(isTokenEndpoint).optional(),
  oauth2ClientId: singleLine(1024).optional(),
  oauth2Scope: singleLine(1024).optional(),
  oauth2ClientSecret: singleLine(8192).optional(),
  oauth2ClientSecretSetting: settingName.optional(),
  oauth2ClientSecretVaultSecret: vaultSecretName.optional(),
  oauth2RefreshToken: singleLine(8192).optional(),
  oauth2RefreshTokenSetting: settingName.optional(),
  oauth2RefreshTokenVaultSecret: vaultSecretName.optional(),
} satisfies Record<ConfigColumnName, z.ZodType>;

/** The config columns, each by itself, after `normalizeColumn`; what they mean together is `config.ts`'s. */
export const configSchema = z.strictObject(shape);

for (const name of configColumnNames) {
  z.globalRegistry.add(configSchema.shape[name], { description: configColumns[name].description });
}

/** With the keys, as an entity of the table, of which only the columns that are right are here: any may be missing. */
export const partialSchema = configSchema
  .extend({ PartitionKey: z.string().regex(keyPattern), RowKey: z.string().regex(keyPattern) })
  .partial({ PartitionKey: true, RowKey: true, host: true, hostType: true, username: true });

export type Columns = z.output<typeof partialSchema>;
